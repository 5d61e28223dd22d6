"""Share of OOD samples that are accepted at the threshold that accepts 95% of the ID samples; ID positive.

Convention: ID is positive and the score is turned round; the first vertex of that ROC curve whose true
positive rate reaches `tpr`. Source: Hendrycks and Gimpel 2017 and most papers after it, on
scikit-learn's `roc_curve(..., drop_intermediate=False)`. `fpr95` takes OOD as positive.
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
    # With the scores turned round, ID is what `_ranked` calls OOD.
    return _ranked.curve(
        lambda counts: _ranked.rate(counts.ood, counts.id, tpr), -ood, -id, ood_weights, id_weights
    )
