"""VNDCG@10: variance over queries of nDCG@10, divided by n.

It scales with the mean: show it next to `mean_ndcg10`. A query's value is rounded to a millionth before it is squared,
which moves the result by 2e-6 at most. Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022,
https://arxiv.org/abs/2108.05018.
"""

from shiftbench.plugins.metrics import ranked_lists
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("ndcg10_e9",)
PARAMS: dict[str, object] = {}
UNIT = "squared share"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each query adds its measure and the square of it."""
    return ranked_lists.square_of(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the variance; float64 (k,)."""
    return ranked_lists.variance(sums)[1]
