"""fDBD: distance of the feature to the decision boundaries of the predicted class, regularised.

    score = -(1 / ||z - mu||) sum over c != y of (f_y - f_c) / ||w_y - w_c||,  y = argmax of the logits f

with mu the mean of the training features and w_c the rows of the head. `normaliser: norm` divides by ||z|| instead of
||z - mu||.

Source: Liu and Qin 2024, "Fast decision boundary based out-of-distribution detector", section 3. The paper has the
mean over the other classes, not the sum: ours divided by C - 1.

OpenOOD's `fdbd` has the sum, the other normaliser and the search over both, as here. pytorch-ood's `fDBD` has the mean,
and `distance` only; as there, the divisor is 1e-8 at least.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial.distance import pdist, squareform

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features", "head")
FIT = ("train",)
GRID: dict[str, list[object]] = {"normaliser": ["distance", "norm"]}
FIT_PARAMS: tuple[str, ...] = ()


class Options(declare.Options):
    normaliser: Literal["distance", "norm"] = Field(
        "distance", description="divide by the feature's distance to the mean, or by its norm"
    )


@dataclass(frozen=True)
class Fitted:
    """Mean of the training features, float64 (d,), and ||w_i - w_j||, float64 (C, C), infinite for i = j."""

    mean: NDArray[np.float64]
    gaps: NDArray[np.float64]


def fit(known: Known, params: dict[str, Any]) -> Fitted:
    """The mean of the training features and the distances between the head's rows."""
    head = known.train.head
    gaps = squareform(pdist(head.weight))
    np.fill_diagonal(gaps, np.inf)
    if not gaps.all():
        one, other = np.argwhere(gaps == 0)[0]
        raise ModelError(
            f"{known.train.name}: classes {one} and {other} have the same weights in the head, so that no "
            "boundary lies between them; expected different ones; choose another detector"
        )
    return Fitted(_statistics.mean(known.train), gaps)


def score(rows: Rows, state: Fitted, params: dict[str, Any]) -> NDArray[np.float64]:
    """The negative regularised distance, float64 (n,), at most 0; higher = more OOD."""
    centres = {"distance": state.mean, "norm": np.zeros_like(state.mean)}
    if params["normaliser"] not in centres:
        raise ParamsError(f"normaliser is {params['normaliser']!r}; expected one of {', '.join(centres)}")
    centre = centres[params["normaliser"]]

    def distance(block: Rows) -> NDArray[np.float64]:
        logits, lengths = block.logits.astype(np.float64), _blocks.distances(block, centre)
        margins = logits.max(axis=1, keepdims=True) - logits
        sums: NDArray[np.float64] = (margins / state.gaps[logits.argmax(axis=1)]).sum(axis=1)
        return sums / np.maximum(lengths, 1e-8)

    return -_blocks.scores(rows, distance)
