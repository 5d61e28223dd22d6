"""Area under the risk-coverage curve of failure detection: the mean risk over all coverages.

The samples are accepted from the lowest score up; the risk is the share of wrong predictions among the accepted ones.
0 is best; a random score has the error rate. It depends on the error rate: `eaurc` takes that off.
Source: Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", section 2:
the mean over i = 1..n of the risk at coverage i / n; not the trapezoids of later packages. Equal scores:
the expectation over their orders, see `_risk`.
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
    return area.mean(area.summed)
