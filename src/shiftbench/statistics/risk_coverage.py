"""Risk and coverage of failure detection: the share of wrong predictions among the samples that a score accepts.

The metrics of failure detection (aurc, eaurc) are computed from it.

A sample is accepted when its score is low. At coverage i / n the i samples with the lowest scores are accepted, and the
risk is the share of wrong ones among them (Geifman, Uziel and El-Yaniv 2019, section 2).

Convention for ties: samples of equal score are accepted in an unknown order, and the risk is its expectation over all
orders. With e wrong ones among t equal samples, j of them hold j e / t wrong ones. So the order of the rows changes
nothing, a weight is a number of copies, and a constant score has the risk of a random one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.statistics.rows import Floats, Ints
from shiftbench.statistics.thresholds import Flags, Weights, total, walk

POINTS = 100  # of a curve, and the first sample


@dataclass(frozen=True, slots=True)
class Area:
    """Terms of the area, under each resample.

    Attributes:
        summed: sum over i = 1..n of the risk at coverage i / n, float64 (k,).
        least: the same of a score that accepts all right samples first.
        count: n, the weighted samples, int64 (k,).
    """

    summed: Floats
    least: Floats
    count: Ints

    def mean(self, sums: Floats) -> Floats:
        """Divide by n; NaN where nothing counts."""
        mean = np.full(len(sums), np.nan)
        np.divide(sums, self.count, out=mean, where=self.count > 0)
        return mean


def area(scores: Floats, correct: Flags, weights: Weights) -> Area:
    """Sum the risk over all coverages.

    Args:
        scores: float64 (n,), higher = less trusted.
        correct: bool (n,).
        weights: uint8 (n, k).
    """
    count, right = total(weights), total(weights[correct])
    harmonic = np.zeros(int(count.max(initial=0)) + 1)
    np.cumsum(1 / np.arange(1, len(harmonic)), out=harmonic[1:])
    summed = _risk_sums(*walk(-scores), ~correct, weights, harmonic)
    # After the right ones, the i-th accepted sample makes i - right of i wrong.
    least = (count - right) - right * (harmonic[count] - harmonic[right])
    return Area(summed, least, count)


@compiled
def _risk_sums(order: Ints, last: Flags, wrong: Flags, weights: Weights, harmonic: Floats) -> Floats:
    k = weights.shape[1]
    before, errors = np.zeros(k, np.int64), np.zeros(k, np.int64)
    equal, mistaken = np.zeros(k, np.int64), np.zeros(k, np.int64)
    summed = np.zeros(k)
    for place in range(len(order)):
        i = order[place]
        row = weights[i]
        for d in range(k):
            equal[d] += row[d]
        if wrong[i]:
            for d in range(k):
                mistaken[d] += row[d]
        if last[place]:
            # Sum over j = 1..t of (errors + j e / t) / (before + j).
            for d in range(k):
                if equal[d]:
                    after = before[d] + equal[d]
                    share = mistaken[d] / equal[d]
                    steps = harmonic[after] - harmonic[before[d]]
                    summed[d] += mistaken[d] + (errors[d] - before[d] * share) * steps
                    before[d] = after
                    errors[d] += mistaken[d]
                    equal[d] = 0
                    mistaken[d] = 0
    return summed


def curve(scores: Floats, correct: Flags) -> tuple[Ints, Floats]:
    """Risk at up to 101 coverages: of the first sample, and of each hundredth of the samples.

    Returns:
        Accepted samples, int64 (p,), ascending, and the risk, float64 (p,); p = 0 where there are no samples.
    """
    n = len(scores)
    accepted: NDArray[np.int64] = np.unique(np.maximum(1, -(-np.arange(POINTS + 1) * n // POINTS)))
    if not n:
        return accepted[:0], np.zeros(0)
    order, last = walk(-scores)
    ends = np.append(0, np.flatnonzero(last) + 1)
    errors = np.append(0, np.cumsum(~correct[order]))[ends]
    group = np.searchsorted(ends, accepted) - 1
    share = np.diff(errors)[group] / np.diff(ends)[group]
    return accepted, (errors[group] + (accepted - ends[group]) * share) / accepted
