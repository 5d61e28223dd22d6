"""SCALE: all activations are scaled by exp(sum of all / sum of the largest), none is pruned; score = energy.

Source: Xu et al. 2024, "Scaling for training time and post-hoc out-of-distribution detection enhancement", the post-hoc
SCALE; OpenOOD v1.5 (`scale`), whose default and search grid these are; pytorch-ood `SCALE`.

The largest are k = d - round(d p / 100), as in OpenOOD. pytorch-ood takes p as a fraction, by default 0.65. Where the
largest sum to zero or less we raise; both others go on with NaN, or with a factor that means nothing. Scores in float64
(in float32 exp overflows at a ratio of 89).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _activations
from shiftbench.plugins.detectors._activations import energies, finite, inflation, largest
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "SCALE"
NEEDS = ("features", "head")
GRID: dict[str, list[object]] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}


class Options(declare.Options):
    percentile: _activations.Percentile = 85.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the scaled features, float64 (n,); higher = more OOD."""

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block).astype(np.float64)
        kept = features * largest(block.features, params["percentile"])
        return block.head(features * np.exp(inflation(block, features, kept)))

    return energies(rows, logits)
