"""Top change: the share of queries whose first document is another one under a shift.

A row with a severity is the share there, the row without one the mean of these. Source: Goren et al., "Ranking
Robustness under Adversarial Document Manipulations", SIGIR 2018.
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
    return _lists.reduce(path, _lists.top_change)


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the mean over queries at each severity and the mean of these (None), float64 (k,)."""
    return _lists.finish(sums, path)
