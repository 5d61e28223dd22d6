"""Share of wrong predictions that are accepted at the threshold which accepts 95% of the right ones.

Source: Corbiere et al. 2019, "Addressing failure prediction by learning model confidence", section 4.1 (FPR at 95%
TPR, right predictions positive); computed as `fpr95_idpos`, whose options it has.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.metrics import _failure
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats

KIND = "failure"
PARAMS: dict[str, object] = {"tpr": 0.95, "rule": "first"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def compute(
    scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8], tpr: float = 0.95, rule: str = "first"
) -> Floats:
    """Return the rate for each draw, float64 (k,), NaN where all are right or all wrong; weights uint8 (n, k)."""
    sides = _failure.sides(-scores, ~correct, weights)  # right ones positive
    return thresholds.false_positive_rate(sides, tpr, rule)
