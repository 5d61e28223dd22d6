"""Share of ID samples that are flagged at the threshold that finds 95% of the OOD samples; OOD positive.

Convention: `rule` says which threshold that is.
`first`: the first vertex of the ROC curve, from the highest score down, whose true positive rate reaches `tpr`.
Source: OpenOOD `metrics.py` (Zhang et al. 2023), on scikit-learn's `roc_curve(..., drop_intermediate=False)`.
`nearest`, `percentile`: as in `fpr95_idpos`, with OOD positive.
Older papers take ID as positive: that is `fpr95_idpos`, and the two differ by tens of points.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Sides

KIND = "detection"
PARAMS: dict[str, object] = {"tpr": 0.95, "rule": "first"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def compute(
    id: Floats,
    ood: Floats,
    id_weights: NDArray[np.uint8],
    ood_weights: NDArray[np.uint8],
    tpr: float = 0.95,
    rule: str = "first",
) -> Floats:
    """Return the false positive rate for each draw, float64 (k,), from weights uint8 (n, k), (m, k)."""
    return thresholds.false_positive_rate(Sides(ood, id, ood_weights, id_weights), tpr, rule)
