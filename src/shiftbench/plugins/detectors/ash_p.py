"""ASH-P: all but the largest activations become zero; score = energy of the new logits.

Source: Djurisic et al. 2023, "Extremely simple activation shaping for out-of-distribution detection", algorithm 1;
pytorch-ood `ASH(variant="ash-p")`. OpenOOD v1.5 runs ASH-B only; default and search grid are those of its `ash`.

k = d - round(d p / 100) activations are kept, as in OpenOOD; of equal ones at the border those of the lowest index.
pytorch-ood takes p as a fraction, by default 0.65. Applied to pooled features, as in OpenOOD. Scores in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _activations
from shiftbench.plugins.detectors._activations import energies, finite, largest
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features", "head")
GRID: dict[str, list[object]] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}


class Options(declare.Options):
    percentile: _activations.Percentile = 90.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the pruned features, float64 (n,); higher = more OOD."""

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block).astype(np.float64)
        return block.head(features * largest(block.features, params["percentile"]))

    return energies(rows, logits)
