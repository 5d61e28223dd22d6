"""ASH-S: the largest activations are scaled by exp(sum of all / sum of these), the others become zero; score = energy.

Source: Djurisic et al. 2023, "Extremely simple activation shaping for out-of-distribution detection", algorithm 3;
pytorch-ood `ASH(variant="ash-s")`, its default. OpenOOD v1.5 runs ASH-B only; default and grid are those of its `ash`.

k = d - round(d p / 100) activations are kept, as in OpenOOD; of equal ones at the border those of the lowest index.
pytorch-ood takes p as a fraction, by default 0.65. Applied to pooled features, as in OpenOOD. Where the kept ones sum
to zero or less we raise; both others go on with NaN, or with a factor that means nothing. Scores in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _activations
from shiftbench.plugins.detectors._activations import energies, finite, inflation, largest
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features", "head")
GRID: dict[str, list[object]] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}


class Options(declare.Options):
    percentile: _activations.Percentile = 90.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the sharpened features, float64 (n,); higher = more OOD."""

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block).astype(np.float64)
        kept = features * largest(block.features, params["percentile"])
        return block.head(kept * np.exp(inflation(block, features, kept)))

    return energies(rows, logits)
