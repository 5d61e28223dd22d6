"""Error: share of samples whose prediction is not the label, 1 - accuracy.

Source: scikit-learn `zero_one_loss`.
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each sample adds 1 when it is right."""
    return Contributions(rows.present("correct"), (rows.column("correct"),))


def finish(sums: Sums) -> Floats:
    """Wrong ones by all; float64 (k,)."""
    return ratio(sums.count - sums.sums[0], sums.count)
