"""Kendall's distance: the share of pairs of documents that a shift puts into another order.

Pairs are of documents that both lists keep (the first hundred); a list that exchanges all of them has the distance 0:
see `rank_biased_overlap`. A row with a severity is the mean over queries there, the row without one the mean of
these. Source: Kendall 1938, Biometrika 30.
"""

from shiftbench.plugins.metrics import _lists
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("documents",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(path: SeverityPath) -> Contributions:
    """Each query adds what lies between its lists."""
    return _lists.reduce(path, _lists.kendall_distance)


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the mean over queries at each severity and the mean of these (None), float64 (k,)."""
    return _lists.finish(sums, path)
