"""Share of positives that are found at the largest false positive rate of at most `fpr`; class 1 is the positive one.

Convention: the lowest threshold at which the share of negatives above it is no more than `fpr`; positives above it are
found, those at it are not. Nothing is interpolated.
Source: TPR at 5 % FPR of detectors of machine-made text (Dugan et al. 2024, "RAID", section 5, who calibrate so).
Differs from code that takes the vertex nearest to the rate, whose rate may lie above it.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.metrics import _binary
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Sides

KIND = "resampled"
COLUMNS = _binary.COLUMNS
PARAMS: dict[str, object] = {"fpr": 0.05}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: NDArray[np.uint8], fpr: float = 0.05) -> Floats:
    """Return the true positive rate for each draw, float64 (k,), NaN where a side is empty; weights uint8 (n, k).

    Raises:
        ParamsError: `fpr` is no share in [0, 1).
    """
    if not 0 <= fpr < 1:
        raise ParamsError(f"binary_tpr: fpr is {fpr!r}; expected a share in [0, 1)")
    known = _binary.sides(rows, weights)
    # From the lowest score up: the first score by which 1 - fpr of the negatives are passed, and the positives by then.
    turned = Sides(-known.negative, -known.positive, known.negative_weights, known.positive_weights)
    return 1.0 - thresholds.false_positive_rate(turned, 1 - fpr, "first")
