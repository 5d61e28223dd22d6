"""Share of OOD samples that are accepted at the threshold that accepts 95% of the ID samples; ID positive.

Convention: ID is positive and the score is turned round; `rule` says which threshold is taken.
`first`: the first vertex of that ROC curve whose true positive rate reaches `tpr`. Source: Hendrycks and Gimpel 2017
and papers after it, on scikit-learn's `roc_curve(..., drop_intermediate=False)`.
`nearest`: the vertex whose true positive rate is nearest to `tpr`. Source: Hendrycks et al. 2019 (outlier exposure)
`fpr_and_fdr_at_recall`, so COOkeD 2025; MixOE's TNR95 is 1 minus it. Of equally near vertices the lowest threshold is
taken (of one rate that with the most OOD), but none after the first that accepts all ID samples. There the choice
between equally near ones is that of the rounding of |rate - 0.95| in float64, which may fall on either; rates are
compared exactly here.
`percentile`: the threshold is the 5th percentile of the ID samples' -score, interpolated between two samples, and
OOD samples strictly above it are accepted. Source: PALM (Lu et al. 2024), `numpy.percentile`.
With few ID samples the three differ by up to one ID sample's worth; `fpr95` takes OOD as positive.
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
    return thresholds.false_positive_rate(Sides(-id, -ood, id_weights, ood_weights), tpr, rule)
