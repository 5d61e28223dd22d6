"""VNAP: variance over queries of average precision, as a share of its mean.

    NAP(q) = AP(q) / mean_q' AP(q'),   VNAP = Var_q NAP(q)

The raw variance falls with the mean, so that a weak ranker looks steady; this one does not. Not defined where no
query has any precision. Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022,
https://arxiv.org/abs/2108.05018, as a later paper restates it; the variance is divided by n. Elsewhere the name is
taken over systems for one query. A query's value is rounded to a millionth before it is squared, which moves the
result by 2e-6 at most.
"""

from shiftbench.plugins.metrics import ranked_lists
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("ap_e9",)
PARAMS: dict[str, object] = {}
UNIT = "squared share of the mean"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each query adds its measure and the square of it."""
    return ranked_lists.square_of(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the variance; float64 (k,)."""
    mean, variance = ranked_lists.variance(sums)
    return ratio(variance, mean * mean)
