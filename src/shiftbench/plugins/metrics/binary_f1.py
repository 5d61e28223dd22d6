"""F1 of class 1: the harmonic mean of its precision and its recall.

    F1 = 2 TP / (2 TP + FP + FN)

Source: scikit-learn `f1_score` with `pos_label=1`; NaN where no sample is of class 1 or called so (there 0).
"""

from shiftbench.plugins.metrics import _binary
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("label", "prediction", "correct")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Count samples by whether they are positive (bin + 2) and called so (bin + 1)."""
    counting = rows.present("correct")
    positive = rows.column("label") == _binary.POSITIVE
    called = rows.column("prediction") == _binary.POSITIVE
    bins = (2 * positive + called) * counting
    return Contributions(counting, binned=counting, bins=bins, width=4)


def finish(sums: Sums) -> Floats:
    """Return F1; float64 (k,)."""
    _, false, missed, true = sums.binned
    return ratio(2 * true, 2 * true + false + missed)
