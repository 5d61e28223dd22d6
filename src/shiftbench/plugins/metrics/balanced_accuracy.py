"""Balanced accuracy: mean over classes of the share of a class's samples whose prediction is the label.

Source: scikit-learn `balanced_accuracy_score`; classes without a sample do not count. Samples without a label among the
model's classes do not count either.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("label", "correct")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Count samples by label and whether they are right: bins 2 x label and 2 x label + 1."""
    counting = rows.present("correct")
    labels = np.where(counting, rows.column("label"), 0)
    width = 2 * (int(labels.max(initial=0)) + 1)
    bins = 2 * labels + rows.column("correct") * counting
    return Contributions(counting, binned=counting, bins=bins, width=width)


def finish(sums: Sums) -> Floats:
    """Mean of recalls; float64 (k,)."""
    wrong, right = sums.binned[0::2], sums.binned[1::2]
    recalls = ratio(right, right + wrong)
    known = ~np.isnan(recalls)
    return ratio(np.where(known, recalls, 0.0).sum(axis=0), known.sum(axis=0))
