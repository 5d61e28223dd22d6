"""Area under the precision-recall curve of OOD detection, ID positive.

Source: OpenOOD `metrics.py` (Zhang et al. 2023), as `aupr_out`, with the score turned round: the least OOD come
first, and recall is the share of ID samples that are accepted.
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
    return thresholds.pr_area(Sides(-id, -ood, id_weights, ood_weights))
