"""Area under the ROC curve of fakes: every class but `real` is a fake, the score is the log-odds of not being real.

Source: scikit-learn `roc_auc_score` with `sample_weight`; the fold is that of So-Fake, arXiv:2505.18660, in which a
real image that was tampered with is a fake, as it is not in older sets.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Sides

KIND = "resampled"
COLUMNS = ("fake", "fake_e9")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), NaN where a side is empty; weights uint8 (n, k)."""
    known = (rows.present("fake") * rows.present("fake_e9")).astype(bool)
    scores = rows.column("fake_e9").astype(np.float64)
    fake = rows.column("fake") > 0
    fakes, reals = known & fake, known & ~fake
    return thresholds.roc_area(Sides(scores[fakes], scores[reals], weights[fakes], weights[reals]))
