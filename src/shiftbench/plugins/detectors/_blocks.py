"""Helper of detectors: scores of a block of rows at a time, in float64, refused when not finite; shared options."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins.detectors._rows import Rows

Floats = NDArray[np.float64]
Temperature = Annotated[float, Field(gt=0, description="temperature T, which divides the logits")]
Step = Annotated[float, Field(ge=0, description="size of the step, in units of pixels of [0, 1]")]
Layers = Annotated[
    list[str],
    Field(description="inner layers: patterns of module names, as in a shell; empty: the last map of each size"),
]


def scores(rows: Rows, of: Callable[[Rows], Floats]) -> Floats:
    """`of` each block of rows, float64 (n,): logits of all rows in float64 need not fit into memory."""
    parts = [of(block) for block in rows.blocks()]
    return np.concatenate(parts) if parts else np.zeros(0)


def logits(rows: Rows) -> Floats:
    """The logits, float64 (n, C).

    Raises:
        DataError: one is not finite; names the sample.
    """
    return _finite(rows, rows.logits, "logits")


def features(rows: Rows) -> Floats:
    """The features, float64 (n, d).

    Raises:
        DataError: one is not finite; names the sample.
    """
    return _finite(rows, rows.features, "features")


def _finite(rows: Rows, values: NDArray[np.float32], what: str) -> Floats:
    exact = values.astype(np.float64)
    check(rows, values, what, exact.sum(axis=1))
    return exact


def check(rows: Rows, values: NDArray[np.float32], what: str, sums: Floats) -> None:
    """Refuse values that are not finite, which float64 sums over them tell.

    Raises:
        DataError: one is not; names the sample.
    """
    if np.isfinite(sums).all():
        return
    good = np.isfinite(values).all(axis=1)
    raise DataError(
        f"{rows.name}: the {what} of sample {rows.keys[int(np.argmin(good))]!r} are not all finite; "
        "evaluate the condition again, in float32 if it was in less"
    )


def centred(rows: Rows, origin: Floats) -> Floats:
    """The features of a block of rows less a point, float64 (n, d).

    Raises:
        DataError: a feature is not finite; names the sample.
    """
    features = np.asarray(rows.features)
    if not np.isfinite(features).all():
        check(rows, features, "features", np.array([np.nan]))
    shifted = np.empty(features.shape)
    _centre(features, origin, shifted)
    return shifted


@compiled
def _centre(features: NDArray[np.float32], origin: Floats, shifted: Floats) -> None:
    for at in range(features.shape[0]):
        for column in range(features.shape[1]):
            shifted[at, column] = features[at, column] - origin[column]


def distances(rows: Rows, centre: Floats) -> Floats:
    """The distance of the features of each sample from a point, float64 (n,).

    Args:
        rows: with features.
        centre: float64 (d,).

    Raises:
        DataError: a feature is not finite; names the sample.
    """
    lengths = np.empty(len(rows))
    _distances(np.asarray(rows.features), centre, lengths)
    check(rows, rows.features, "features", lengths)
    return lengths


@compiled
def _distances(features: NDArray[np.float32], centre: Floats, lengths: Floats) -> None:
    for at in range(features.shape[0]):
        total = 0.0
        for column in range(features.shape[1]):
            apart = features[at, column] - centre[column]
            total += apart * apart
        lengths[at] = np.sqrt(total)


def confidences(rows: Rows, temperature: float) -> Floats:
    """Max over classes of softmax(logits / temperature), float64 (n,) in [1 / C, 1].

    Raises:
        ParamsError: the temperature is not above 0.
    """
    checked(temperature, "temperature")
    return scores(rows, lambda block: np.max(softmax(logits(block) / temperature, axis=1), axis=1))


def checked(value: float, name: str) -> float:
    """A value above 0.

    Raises:
        ParamsError: it is not.
    """
    if not value > 0:
        raise ParamsError(f"{name}: expected a number above 0, found {value}")
    return value
