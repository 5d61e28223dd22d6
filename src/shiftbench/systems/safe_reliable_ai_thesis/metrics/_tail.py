"""Risk at a coverage, and above it: what the samples that are accepted last add; helper of the tail metrics.

Samples are accepted from the lowest score up, r_i is the share of wrong ones among the first i, and equal scores are
accepted in an unknown order, of which the expectation is taken (`statistics/risk_coverage.py`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.statistics.rows import Floats, Ints
from shiftbench.statistics.thresholds import total, walk

Flags = NDArray[np.bool_]
Weights = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a risk-coverage curve, under each draw.

    Attributes:
        at: r at the first rank of the tail, float64 (k,); NaN where nothing counts.
        summed: sum of r from that rank to the last, float64 (k,).
        right: right predictions, int64 (k,).
        first: the first rank, int64 (k,), from 1.
        count: n, int64 (k,).
    """

    at: Floats
    summed: Floats
    right: Ints
    first: Ints
    count: Ints


def tail(scores: Floats, correct: Flags, weights: Weights, coverage: float | None = None) -> Tail:
    """Return the curve from a coverage on.

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
    return Tail(np.where(count > 0, at, np.nan), summed, right, first, count)


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
