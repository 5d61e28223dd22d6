"""Helper of detectors that change activations and apply the head again: percentiles, the k largest, energies."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logsumexp

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins.detectors._rows import Rows

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
Codes = NDArray[np.uint32]
Percentile = Annotated[
    float, Field(ge=0, lt=100, description="percent of a sample's activations that are not among its largest")
]

SIGN, LOWER, HALF = np.uint32(1 << 31), np.uint32(0xFFFF), np.uint32(16)

ROWS = 1_024
"""Rows that are changed at a time: their temporaries stay in the cache at 512 features."""


def energies(rows: Rows, logits: Callable[[Rows], Floats]) -> Floats:
    """-log sum over classes of exp(logits), float64 (n,); higher = more OOD.

    Args:
        rows: to be scored.
        logits: called with blocks of `rows`; gives the logits of their changed features, float64 (m, C).
    """
    parts = [-logsumexp(logits(block), axis=1) for block in rows.blocks(ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0)


def finite(rows: Rows) -> NDArray[np.float32]:
    """The features of a block, float32 (n, d).

    Raises:
        DataError: one is not finite; names the sample.
    """
    good = np.isfinite(rows.features).all(axis=1)
    if not good.all():
        raise DataError(
            f"{rows.name}: the features of sample {rows.keys[int(np.argmin(good))]!r} are not all finite; "
            "evaluate the condition again, in float32 if it was in less"
        )
    return rows.features


def checked(percentile: float, name: str = "percentile") -> float:
    """A percentile in [0, 100).

    Raises:
        ParamsError: it lies outside.
    """
    if not 0 <= percentile < 100:
        raise ParamsError(f"{name}: expected a percentage from 0 to less than 100, found {percentile}")
    return percentile


def how_many(width: int, percentile: float, name: str = "percentile") -> int:
    """K = width - round(width * percentile / 100), a half rounded to even, as in OpenOOD.

    Raises:
        ParamsError: the percentile lies outside [0, 100), or leaves none.
    """
    k = width - round(width * checked(percentile, name) / 100)
    if k < 1:
        raise ParamsError(f"{name}: {percentile} keeps none of {width} features; lower it")
    return k


def largest(features: NDArray[np.float32], percentile: float) -> Marks:
    """Mark the k largest activations of each row, k as `how_many` says.

    Exactly k are marked. Of equal activations at the border those of the lowest index are: a choice of ours, the same
    on every machine, where `torch.topk` (OpenOOD, pytorch-ood) promises none. After a ReLU the border is often at zero;
    then this decides which zeros ASH-B fills.

    Args:
        features: float32 (n, d), finite.
        percentile: share of each row that is not marked, in percent.

    Returns:
        bool (n, d), k of each row True.

    Raises:
        ParamsError: the percentile leaves none.

    Example:
        >>> largest(np.array([[3, 1, 2, 1, 0]], dtype=np.float32), 40.0).astype(int)
        array([[1, 1, 1, 0, 0]])
    """
    width = features.shape[1]
    k = how_many(width, percentile)
    least = np.partition(features, width - k, axis=1)[:, width - k, None]
    marks: Marks = features >= least
    tied = np.flatnonzero(np.count_nonzero(marks, axis=1) > k)
    if len(tied):
        above, equal = features[tied] > least[tied], features[tied] == least[tied]
        room = k - np.count_nonzero(above, axis=1)[:, None]
        marks[tied] = above | (equal & (np.cumsum(equal, axis=1) <= room))
    return marks


def inflation(rows: Rows, features: Floats, kept: Floats) -> Floats:
    """The sum of all activations over that of the kept ones, float64 (n, 1).

    It is 1 to d / k for non-negative activations, and never more than d / k.

    Raises:
        DataError: the kept ones of a sample sum to zero or less, which happens to signed features and to samples
            without any activation; names the sample.
    """
    sums = kept.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        at = int(np.argmin(sums > 0))
        raise DataError(
            f"{rows.name}: the largest activations of sample {rows.keys[at]!r} sum to {sums[at, 0]:g}; this detector "
            "divides by that sum and is defined for the non-negative features behind a ReLU; choose another detector"
        )
    ratio: Floats = features.sum(axis=1, keepdims=True) / sums
    return ratio


def percentiles(rows: Rows, percentages: list[float]) -> Floats:
    """Percentiles of all feature values of all rows, linear between ranks (NumPy's default), float64.

    Exact, from memory-mapped features: values are counted by the upper half of their bits, and once more by the lower
    half within each bin that holds a wanted rank. That reads the features twice or a little more, and keeps 65,536
    counters. Ranks are float64; `np.percentile` of a float32 array computes them in float32, which is too coarse beyond
    2^24 values.

    Raises:
        DataError: there are no rows, or a feature is not finite; names the sample.
    """
    if not rows.features.size:
        raise DataError(f"{rows.name}: no features to take a percentile of; expected one row or more")
    places = np.array(percentages) / 100 * (rows.features.size - 1)
    ranks = np.unique([np.floor(places), np.ceil(places)]).astype(np.int64)
    values: Floats = np.interp(places, ranks, _at_ranks(rows, ranks))
    return values


def _at_ranks(rows: Rows, ranks: NDArray[np.int64]) -> Floats:
    """The values at ranks (0: the smallest), float64 (len(ranks),)."""
    ends = np.cumsum(_count(rows, lambda codes: codes >> HALF))
    uppers = np.searchsorted(ends, ranks, side="right").tolist()
    inside = {upper: np.cumsum(_count(rows, partial(_lower_halves, upper))) for upper in set(uppers)}
    codes = [
        (upper << 16) + np.searchsorted(inside[upper], rank - (ends[upper] - inside[upper][-1]), side="right")
        for upper, rank in zip(uppers, ranks, strict=True)
    ]
    return _values(np.array(codes, dtype=np.uint32)).astype(np.float64)


def _count(rows: Rows, half: Callable[[Codes], Codes]) -> NDArray[np.int64]:
    """Counts of features for each 16-bit number that `half` makes of their codes."""
    counts = np.zeros(1 << 16, dtype=np.int64)
    for block in rows.blocks(ROWS):
        counts += np.bincount(half(_codes(finite(block)).ravel()), minlength=len(counts))
    return counts


def _lower_halves(upper: int, codes: Codes) -> Codes:
    lower: Codes = codes[codes >> HALF == upper] & LOWER
    return lower


def _codes(values: NDArray[np.float32]) -> Codes:
    """The bits of floats as integers in the same order: negative ones turned round, the others above them."""
    bits: Codes = np.ascontiguousarray(values).view(np.uint32)
    codes: Codes = np.where(bits & SIGN, ~bits, bits | SIGN)
    return codes


def _values(codes: Codes) -> NDArray[np.float32]:
    bits: Codes = np.where(codes & SIGN, codes ^ SIGN, ~codes)
    return bits.view(np.float32)
