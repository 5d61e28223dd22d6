"""The tail of the risk-coverage curve: the risk at a coverage, and the area above it.

Samples are accepted from the lowest score up. r_i is the share of wrong ones among the first i. Equal scores are
accepted in an unknown order, of which the expectation is taken (`statistics/risk_coverage.py`).

Source: Ao, Rueger and Siddharthan, "Empirical Optimal Risk to Quantify Model Trustworthiness for Failure Detection",
2023, arXiv:2308.03179. The formulas are reconstructed from its abstract; the repository AoShuang92/optimal_risk is
empty.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare
from shiftbench.statistics.rows import Floats, Ints
from shiftbench.statistics.thresholds import Weights, total, walk

Flags = NDArray[np.bool_]
Coverage = Annotated[
    float | None, Field(gt=0, le=1, description="share of the samples that are accepted; null: the accuracy")
]


@declare.failure_metric(higher_is_better=True)
def trust_index(scores: Floats, correct: Flags, weights: Weights, coverage: Coverage = None) -> Floats:
    """Trust index: accuracy among the most trusted samples, as many as are predicted correctly.

    TI = 1 - r(a), the selective accuracy at a coverage of a, the accuracy: 1 if a score accepts exactly the correct
    predictions. Equal scores: the expectation over their orders.

    Source: Ao, Rueger and Siddharthan, "Empirical Optimal Risk to Quantify Model Trustworthiness for Failure
    Detection", 2023, arXiv:2308.03179, abstract; the repository AoShuang92/optimal_risk is empty.
    """
    if coverage is not None and not 0 < coverage <= 1:
        raise ParamsError(f"trust_index: coverage is {coverage:g}; expected a share in (0, 1], or none")
    return 1 - _tail(scores, correct, weights, coverage).at


@declare.failure_metric(higher_is_better=False)
def e_auoptrc_tail(scores: Floats, correct: Flags, weights: Weights) -> Floats:
    """Excess area under the risk-coverage curve from the optimal point to full coverage.

    The ideal order accepts all correct predictions first, so its risk leaves 0 where coverage is the accuracy a: the
    optimal point. From there on it is (c - a) / c, and

        E-AUoptRC = integral from a to 1 of r(c) - (c - a) / c dc = 1/n sum over i >= i* of r_i - (i - a n) / i,
        i* = max(1, a n)

    It is 0 for the ideal order and -a ln a - a (1 - a) for a random one. Equal scores: the expectation over their
    orders.

    Source: Ao, Rueger and Siddharthan, "Empirical Optimal Risk to Quantify Model Trustworthiness for Failure
    Detection", 2023, arXiv:2308.03179. Formula reconstructed from its abstract; the repository
    AoShuang92/optimal_risk is empty. Third parties use the name for other things: an integral from 0 to a over macro-F1
    without the ideal curve, and the excess of the whole curve (`eaurc`). Hence `_tail`.
    """
    tail = _tail(scores, correct, weights)
    harmonic = np.zeros(int(tail.count.max(initial=0)) + 1)
    np.cumsum(1 / np.arange(1, len(harmonic)), out=harmonic[1:])
    ranks = tail.count - tail.first + 1
    # From rank i* on the ideal order has i - a n wrong ones of i.
    ideal = ranks - tail.right * (harmonic[tail.count] - harmonic[tail.first - 1])
    area = np.full(len(ideal), np.nan)
    # The two are summed in other orders: the ideal score may come out 1e-17 below 0.
    excess = np.maximum(tail.summed - ideal, 0)
    np.divide(excess, tail.count, out=area, where=tail.count > 0)
    return area


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a risk-coverage curve, in each resample.

    Attributes:
        at: r at the first rank of the tail, float64 (k,); NaN if nothing counts.
        summed: sum of r from that rank to the last, float64 (k,).
        right: correct predictions, int64 (k,).
        first: the first rank, int64 (k,), from 1.
        count: n, int64 (k,).
    """

    at: Floats
    summed: Floats
    right: Ints
    first: Ints
    count: Ints


def _tail(scores: Floats, correct: Flags, weights: Weights, coverage: float | None = None) -> _Tail:
    """The curve from a coverage on.

    Args:
        scores: float64 (n,), higher = less trusted.
        correct: bool (n,).
        weights: uint8 (n, k).
        coverage: where the tail begins, 0 to 1; None: at the accuracy, the optimal point.
    """
    count, right = total(weights), total(weights[correct])
    first = right if coverage is None else np.rint(coverage * count).astype(np.int64)
    first = np.maximum(first, 1)
    at, summed = _from(*walk(-scores), ~correct, weights, first)
    return _Tail(np.where(count > 0, at, np.nan), summed, right, first, count)


@compiled
def _from(  # noqa: C901 - a compiled loop calls no other
    order: Ints, last: Flags, wrong: Flags, weights: Weights, first: Ints
) -> tuple[Floats, Floats]:
    k = weights.shape[1]
    before, errors = np.zeros(k, np.int64), np.zeros(k, np.int64)
    equal, mistaken = np.zeros(k, np.int64), np.zeros(k, np.int64)
    at, summed = np.zeros(k), np.zeros(k)
    for place in range(len(order)):
        i = order[place]
        row = weights[i]
        for d in range(k):
            equal[d] += row[d]
        if wrong[i]:
            for d in range(k):
                mistaken[d] += row[d]
        if last[place]:
            for d in range(k):
                if equal[d]:
                    after = before[d] + equal[d]
                    share = mistaken[d] / equal[d]
                    for rank in range(max(first[d], before[d] + 1), after + 1):
                        risk = (errors[d] + (rank - before[d]) * share) / rank
                        summed[d] += risk
                        if rank == first[d]:
                            at[d] = risk
                    before[d] = after
                    errors[d] += mistaken[d]
                    equal[d] = 0
                    mistaken[d] = 0
    return at, summed
