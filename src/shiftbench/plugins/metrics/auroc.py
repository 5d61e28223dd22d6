"""Area under the ROC curve of OOD detection: P(OOD score > ID score) + P(equal) / 2, OOD positive.

Source: scikit-learn `roc_auc_score` with `sample_weight`; equals the Mann-Whitney U statistic by the
number of pairs. It is the same with ID positive.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Sides

KIND = "detection"
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
PAIRED_TEST = "delong"


def compute(id: Floats, ood: Floats, id_weights: NDArray[np.uint8], ood_weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), from scores and weights uint8 (n, k), (m, k)."""
    return thresholds.roc_area(Sides(ood, id, ood_weights, id_weights))
