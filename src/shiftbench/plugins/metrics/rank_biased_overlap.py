"""RBO: how much of its first documents a list keeps under a shift, the first ones counting most.

Source: Webber, Moffat and Zobel 2010, TOIS 28(4), equation 4, of the lists as deep as they are kept and scaled so that
equal lists have 1. A row with a severity is the mean over queries there, the row without one the mean of these.
"""

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.metrics import _lists
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("documents",)
PARAMS: dict[str, object] = {"p": 0.9}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath, p: float) -> Contributions:
    """Each query adds what lies between its lists.

    Raises:
        ParamsError: `p` is not between 0 and 1.
    """
    if not 0 < p < 1:
        raise ParamsError(f"rank_biased_overlap: p is {p!r}; expected a number above 0 and below 1")
    return _lists.reduce(path, lambda one, other: _lists.rank_biased_overlap(one, other, p))


def finish(sums: Sums, path: SeverityPath, p: float) -> dict[float | None, Floats]:
    """Return the mean over queries at each severity and the mean of these (None), float64 (k,)."""
    return _lists.finish(sums, path)
