"""Share of ID samples that are flagged at the threshold that finds 95% of the OOD samples; OOD positive.

Convention: the first vertex of the ROC curve, from the highest score down, whose true positive rate
reaches `tpr`; the false positive rate there. Source: OpenOOD `metrics.py` (Zhang et al. 2023), on scikit-learn's
`roc_curve(..., drop_intermediate=False)`. Older papers take ID as positive: that is `fpr95_idpos`, and
the two differ by tens of points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftbench.metrics import _ranked
from shiftbench.metrics._rows import Floats

KIND = "detection"
PARAMS: dict[str, object] = {"tpr": 0.95}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def compute(
    id: Floats,
    ood: Floats,
    id_weights: NDArray[np.uint8],
    ood_weights: NDArray[np.uint8],
    tpr: float,
) -> Floats:
    """Return the false positive rate for each draw, float64 (k,), from weights uint8 (n, k), (m, k)."""
    return _ranked.curve(
        lambda counts: _ranked.rate(counts.ood, counts.id, tpr), id, ood, id_weights, ood_weights
    )
