"""MaxLogit (MLS): score = -max over classes of the logits.

Source: Hendrycks et al. 2022, "Scaling out-of-distribution detection for real-world settings" (MaxLogit); OpenOOD
v1.5 (`mls`); pytorch-ood `MaxLogit` (equal).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """-max logit, float64 (n,) in the unit of the logits; higher = more OOD."""
    return _blocks.scores(rows, lambda block: -_blocks.logits(block).max(axis=1))
