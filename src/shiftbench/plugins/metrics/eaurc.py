"""Excess area under the risk-coverage curve: `aurc` less that of the best score for the same predictions.

The best score accepts all right predictions before the wrong ones; then 0.
Source: Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", equation 3.
Differs: the best area is the exact sum over the samples, not its limit r + (1 - r) log(1 - r) at error rate r.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics import risk_coverage
from shiftbench.statistics.rows import Floats

KIND = "failure"
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def compute(scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), from scores (n,), correct (n,), weights uint8 (n, k)."""
    area = risk_coverage.area(scores, correct, weights)
    # The two are summed in other orders: the best score may come out 1e-17 below 0.
    return area.mean(np.maximum(area.summed - area.least, 0))
