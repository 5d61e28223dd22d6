"""Attack success rate: the share of attacked documents whose rank is better than before, for the same query.

Not defined where no document was attacked. Source: PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("attacked", "raised")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each query adds its targets and what became of them."""
    return Contributions(rows.present("attacked"), (rows.column("raised"), rows.column("attacked")))


def finish(sums: Sums) -> Floats:
    """Return what became of them, by targets; float64 (k,)."""
    return ratio(sums.sums[0], sums.sums[1])
