"""Rank gain: how many ranks an attacked document rises, in the mean; negative where it falls.

Not defined where no document was attacked. Source: the "boost" of PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("attacked", "gained")
PARAMS: dict[str, object] = {}
UNIT = "rank"
RANGE = (None, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each query adds its targets and what became of them."""
    return Contributions(rows.present("attacked"), (rows.column("gained"), rows.column("attacked")))


def finish(sums: Sums) -> Floats:
    """Return what became of them, by targets; float64 (k,)."""
    return ratio(sums.sums[0], sums.sums[1])
