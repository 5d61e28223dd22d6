"""MPJPE: mean distance of joints in space, both poses on the middle of their hips, in metres; mean over persons.

Of persons whose joints in space are known and predicted. Source: Ionescu et al. 2014, Human3.6M,
doi:10.1109/TPAMI.2013.248.
"""

from __future__ import annotations

from shiftbench.metrics import _people
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("mpjpe_e9", "true_crowd")
PARAMS: dict[str, object] = {}
UNIT = "metre"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each image adds the errors of its persons."""
    return _people.reduce(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the mean over persons, float64 (k,); NaN without one."""
    return _people.finish(sums)
