"""Boost@10: the share of attacked documents that stood behind rank 10 and are among the first ten now.

Not defined where no document was attacked. Source: T10R of PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("attacked", "entered")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each query adds its targets and what became of them."""
    return Contributions(rows.present("attacked"), (rows.column("entered"), rows.column("attacked")))


def finish(sums: Sums) -> Floats:
    """Return what became of them, by targets; float64 (k,)."""
    return ratio(sums.sums[0], sums.sums[1])
