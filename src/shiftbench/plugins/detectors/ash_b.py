"""ASH-B: the largest activations become equal shares of the sum of all, the others zero; score = energy.

Source: Djurisic et al. 2023, "Extremely simple activation shaping for out-of-distribution detection", algorithm 2;
OpenOOD v1.5 (`ash`), whose default and search grid these are; pytorch-ood `ASH(variant="ash-b")`.

Each of the k = d - round(d p / 100) largest activations becomes sum(z) / k; of equal ones at the border those of the
lowest index do (OpenOOD and pytorch-ood: whichever `torch.topk` returns, which matters where fewer than k activations
are above zero: zeros are filled then). pytorch-ood takes p as a fraction, by default 0.65. Applied to pooled features,
as in OpenOOD. Scores in float64.
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
    """The energies of the binarised features, float64 (n,); higher = more OOD."""

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block)
        marks = largest(features, params["percentile"])
        shares = features.sum(axis=1, dtype=np.float64) / np.count_nonzero(marks, axis=1)
        return block.head(np.where(marks, shares[:, None], 0.0))

    return energies(rows, logits)
