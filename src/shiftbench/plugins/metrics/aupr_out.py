"""Area under the precision-recall curve of OOD detection, OOD positive.

Source: OpenOOD `metrics.py` (Zhang et al. 2023): scikit-learn's `auc` over `precision_recall_curve`, that is
trapezoids with one vertex per distinct score and a last one (recall 0, precision 1); not
`average_precision_score`. Unlike auroc it depends on how many ID and OOD samples there are. `aupr_in` takes ID
as positive.
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


def compute(id: Floats, ood: Floats, id_weights: NDArray[np.uint8], ood_weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), from scores and weights uint8 (n, k), (m, k)."""
    return thresholds.pr_area(Sides(ood, id, ood_weights, id_weights))
