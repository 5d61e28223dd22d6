"""PA-MPJPE: MPJPE after the turn, scale and translation that bring the prediction nearest (Procrustes), in metres.

Of persons whose joints in space are known and predicted. Source: Gower 1975, "Generalized Procrustes analysis"; in use
since Zhou et al. 2018, doi:10.1109/TPAMI.2018.2816031.
"""

from __future__ import annotations

from shiftbench.metrics import _people
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("pa_mpjpe_e9", "true_crowd")
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
