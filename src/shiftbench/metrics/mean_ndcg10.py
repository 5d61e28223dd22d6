"""nDCG@10: mean over queries of the discounted gain of the first ten documents, as a share of the best possible.

Source: Jarvelin and Kekalainen 2002, TOIS 20(4); gain is the grade, as in trec_eval's `ndcg_cut_10`.
"""

from __future__ import annotations

from shiftbench.metrics import _queries
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("ndcg10_e9",)
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
