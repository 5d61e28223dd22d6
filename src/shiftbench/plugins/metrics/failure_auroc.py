"""AUROC of failure detection: P(score of a wrong prediction > that of a right one) + P(equal) / 2.

Higher scores are trusted less. 0.5 is chance; it does not say how many predictions are wrong (`aurc` does).
Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples", section
2; computed as `auroc`. Differs: wrong ones are positive (there right ones are, with the same area).
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
    return thresholds.roc_area(_failure.sides(scores, correct, weights))
