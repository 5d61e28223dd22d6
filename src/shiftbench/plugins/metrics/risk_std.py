"""Standard deviation of the risk over tasks, around their mean (the divisor is one less than the tasks).

Source: the score `test_score_std` of MPTS (thu-rllab/MPTS, sinusoid/test.py): `torch.std`.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.metrics._moments import Moments
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "resampled"
COLUMNS = ("risk_e9",)
PARAMS: dict[str, object] = {}
UNIT = "squared unit or nat"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def compute(rows: Rows, weights: NDArray[np.uint8]) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k); NaN below two tasks."""
    moments = Moments(rows, weights, COLUMNS)
    centred = moments.centred(0)
    variance = moments.product(centred, centred)
    return np.sqrt(ratio(variance * moments.count, np.maximum(moments.count - 1, 0)))
