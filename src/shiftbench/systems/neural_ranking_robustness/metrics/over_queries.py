"""Means and variances over queries: how unequal they are, and how far attacked documents rise.

A query's measure is rounded to a millionth before it is squared, which moves a variance by 2e-6 at most.
"""

from shiftbench.plugins import declare
from shiftbench.plugins.metrics import ranked_lists
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows


def _variance(sums: Sums) -> Floats:
    return ranked_lists.variance(sums)[1]


def _relative_variance(sums: Sums) -> Floats:
    mean, variance = ranked_lists.variance(sums)
    return ratio(variance, mean * mean)


@declare.sample_metric(
    columns=("ndcg10_e9",), finish=_variance, higher_is_better=False, unit="squared share", bounds=(0.0, None)
)
def vndcg10(rows: Rows) -> Contributions:
    """VNDCG@10: variance over queries of nDCG@10, divided by n.

    It scales with the mean: show it next to `mean_ndcg10`.
    Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022, https://arxiv.org/abs/2108.05018.
    """
    return ranked_lists.square_of(rows, "ndcg10_e9")


@declare.sample_metric(
    columns=("ap_e9",),
    finish=_relative_variance,
    higher_is_better=False,
    unit="squared share of the mean",
    bounds=(0.0, None),
)
def vnap(rows: Rows) -> Contributions:
    """VNAP: variance over queries of average precision, as a share of its mean.

        NAP(q) = AP(q) / mean_q' AP(q'),   VNAP = Var_q NAP(q)

    The raw variance falls with the mean, so that a weak ranker looks steady; VNAP does not. NaN if no query has any
    precision. Elsewhere the name is used for a variance over systems for one query.
    Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022, https://arxiv.org/abs/2108.05018, as a
    later paper restates it; the variance is divided by n.
    """
    return ranked_lists.square_of(rows, "ap_e9")


def _per_target(sums: Sums) -> Floats:
    return ratio(sums.sums[0], sums.sums[1])


def _attacked(rows: Rows, outcome: str) -> Contributions:
    """Each query adds the outcome of its attacked documents, and their number."""
    return Contributions(rows.present("attacked"), (rows.column(outcome), rows.column("attacked")))


@declare.sample_metric(columns=("attacked", "raised"), finish=_per_target, higher_is_better=False)
def raised_share(rows: Rows) -> Contributions:
    """Attack success rate: the share of attacked documents whose rank is better than before, for the same query.

    NaN if no document was attacked. Source: PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
    """
    return _attacked(rows, "raised")


@declare.sample_metric(
    columns=("attacked", "gained"), finish=_per_target, higher_is_better=False, unit="rank", bounds=(None, None)
)
def rank_gain(rows: Rows) -> Contributions:
    """Rank gain: the mean number of ranks by which an attacked document rises; negative if it falls.

    NaN if no document was attacked. Source: the "boost" of PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
    """
    return _attacked(rows, "gained")


@declare.sample_metric(columns=("attacked", "entered"), finish=_per_target, higher_is_better=False)
def boost10(rows: Rows) -> Contributions:
    """Boost@10: the share of attacked documents that were behind rank 10 and are among the first ten now.

    NaN if no document was attacked. Source: T10R of PRADA (Wu et al., https://arxiv.org/abs/2204.01321).
    """
    return _attacked(rows, "entered")
