"""Brier score of several classes: mean over samples of the sum over classes of (probability - [class is label])^2.

Source: Brier 1950; scikit-learn `brier_score_loss(..., scale_by_half=False)`. In [0, 2].
"""

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("brier_e9",)
PARAMS: dict[str, object] = {}
UNIT = "squared probability"
RANGE = (0.0, 2.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each sample adds its billionths."""
    return Contributions(rows.present("brier_e9"), (rows.column("brier_e9"),))


def finish(sums: Sums) -> Floats:
    """Mean; float64 (k,)."""
    return ratio(sums.sums[0], sums.count * E9)
