"""Missed persons: share of persons for whom nothing was predicted.

Source: ours; a miss also counts as an error of a torso in `joint_error`, and is told here apart.
"""

from __future__ import annotations

from shiftbench.metrics import _people
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("missed", "true_crowd")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each image adds its missed persons, and all of them."""
    return _people.reduce(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return missed by all, float64 (k,); NaN without a person."""
    return ratio(sums.sums[0], sums.sums[1])
