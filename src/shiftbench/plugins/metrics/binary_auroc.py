"""Area under the ROC curve of a classifier of two classes: P(score of a positive > that of a negative) + P(equal) / 2.

Class 1 is the positive one. Higher is better; 0.5 is chance, whatever the shares of the classes.
Source: scikit-learn `roc_auc_score` with `sample_weight`; computed as `auroc`, which compares two sets of samples.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.metrics import _binary
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats, Rows

KIND = "resampled"
COLUMNS = _binary.COLUMNS
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), NaN where a side is empty; weights uint8 (n, k)."""
    return thresholds.roc_area(_binary.sides(rows, weights))
