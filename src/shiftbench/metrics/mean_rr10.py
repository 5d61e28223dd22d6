"""MRR@10: mean over queries of 1 / rank of the first relevant document, 0 where the first ten have none.

Source: Voorhees, TREC-8 question answering, 1999; the cut at 10 is MS MARCO's.
"""

from __future__ import annotations

from shiftbench.metrics import _queries
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("rr10_e9",)
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
