"""Recall of one class: the share of its samples whose prediction is the class; `label` is its index.

Source: scikit-learn `recall_score` of one label; NaN where no sample is of the class (there 0).
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("label", "correct")
PARAMS: dict[str, object] = {"label": 0}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, label: int) -> Contributions:
    """Each sample of the class adds 1 when it is right; others do not count."""
    own = (rows.column("label") == label) * rows.present("correct")
    return Contributions(own, (rows.column("correct") * own,))


def finish(sums: Sums, **_: object) -> Floats:
    """Right ones by all of the class; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
