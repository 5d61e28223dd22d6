"""Judged@10: share of the first ten documents that are judged; where rankers differ in it, so may what they lose.

Source: `Judged@10` of ir-measures (MacAvaney et al., ECIR 2022).
"""

from __future__ import annotations

from shiftbench.metrics import _queries
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("judged10_e9",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Each query adds its own."""
    return _queries.mean_of(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the mean over queries; float64 (k,)."""
    return _queries.mean(sums)
