"""Negative log-likelihood: mean of -log probability of the label, in nats.

Source: scikit-learn `log_loss`, without its clipping of probabilities at machine epsilon. A sample adds 562,949.95 nats
at most (2**49 billionths), so that sums stay exact.
"""

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("nll_e9",)
PARAMS: dict[str, object] = {}
UNIT = "nat"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each sample adds its billionths of a nat."""
    return Contributions(rows.present("nll_e9"), (rows.column("nll_e9"),))


def finish(sums: Sums) -> Floats:
    """Mean; float64 (k,)."""
    return ratio(sums.sums[0], sums.count * E9)
