"""Accuracy: share of samples whose prediction is the label.

Source: scikit-learn `accuracy_score`. Samples without a label among the model's classes do not count.
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Each sample adds 1 when it is right."""
    return Contributions(rows.present("correct"), (rows.column("correct"),))


def finish(sums: Sums) -> Floats:
    """Right ones by all; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
