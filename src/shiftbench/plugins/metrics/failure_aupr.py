"""Area under the precision-recall curve of failure detection, wrong predictions positive (AUPR-error).

Chance is the error rate, so it compares scores of one model's predictions only.
Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples", section
2; computed as `aupr_out`: trapezoids, not average precision.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.metrics import _failure
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats

KIND = "failure"
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), NaN where all are right or all wrong; weights uint8 (n, k)."""
    return thresholds.pr_area(_failure.sides(scores, correct, weights))
