"""GEN: generalised entropy; score = sum over the M largest p of p^gamma (1 - p)^gamma with p = softmax(logits).

Source: Liu, Lochman and Zach 2023, "GEN: Pushing the limits of softmax-based out-of-distribution detection" (G_gamma,
and its truncation to the top M); OpenOOD v1.5 (`gen`), whose defaults and search grid these are. All classes count
where M is their number or more.

The 1 - p of the largest p is the sum of the others. OpenOOD subtracts in float32 and gets 0, and no term at all, for
p > 1 - 6e-8, where at gamma 0.1 the term should be 0.19: scores of very confident samples differ. pytorch-ood's `GEN`
takes the mean of the M terms (same order), clips p to [1e-7, 1 - 1e-7], and has M = all classes by default.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)
GRID: dict[str, list[object]] = {"gamma": [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0], "M": [10, 50, 100, 200, 500, 1000]}


class Options(declare.Options):
    gamma: float = Field(0.1, gt=0, description="exponent of the entropy")
    M: int = Field(100, ge=1, description="number of the largest probabilities that count")


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The generalised entropy, float64 (n,) in [0, M / 4^gamma]; higher = more OOD."""
    gamma = _blocks.checked(params["gamma"], "gamma")
    largest = int(_blocks.checked(params["M"], "M"))
    return _blocks.scores(rows, lambda block: _entropy(_blocks.logits(block), gamma, largest))


def _entropy(logits: NDArray[np.float64], gamma: float, largest: int) -> NDArray[np.float64]:
    p = np.sort(softmax(logits, axis=1), axis=1)[:, ::-1]
    rest = 1 - p
    rest[:, 0] = p[:, 1:].sum(axis=1)
    entropy: NDArray[np.float64] = np.sum((p * rest)[:, :largest] ** gamma, axis=1)
    return entropy
