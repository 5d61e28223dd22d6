"""Areas and rates over all thresholds on a score, under every bootstrap resample; detection metrics call it.

The samples of both sides are sorted once, from the highest score down, and walked through once: a compiled loop keeps
the weighted counts of all resamples, so that a resample costs a few additions per sample, and no array of samples x
resamples is made. Samples of equal score enter together. Counts are integers, so results do not depend on ties,
resamples or the order of samples; areas are added threshold by threshold, in that order.

The positive side is the one with the higher scores: OOD, or ID if scores are negated. A threshold flags scores at or
above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics.rows import Floats, Ints

Tpr = Annotated[float, Field(gt=0, le=1, description="true positive rate that the threshold reaches")]
Rule = Annotated[
    Literal["first", "nearest", "percentile"],
    Field(description="threshold: the first at the rate, the nearest to it, or a percentile of the scores"),
]
RULES = ("first", "nearest", "percentile")
_PARTS = 1_000_000  # rates are compared in millionths, so that 0.95 of 20 is exactly 19
Weights = NDArray[np.uint8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sides:
    """Scores and weights of two sides; the positive one has the higher scores.

    Attributes:
        positive: scores float64 (n,).
        negative: scores float64 (m,).
        positive_weights: uint8 (n, k).
        negative_weights: uint8 (m, k).
    """

    positive: Floats
    negative: Floats
    positive_weights: Weights
    negative_weights: Weights

    @classmethod
    def of_ood(cls, id: Floats, ood: Floats, id_weights: Weights, ood_weights: Weights) -> Sides:
        """OOD samples as the positive side, in-distribution (ID) samples as the negative side."""
        return cls(ood, id, ood_weights, id_weights)

    def flipped(self) -> Sides:
        """The other side as the positive one; scores change their sign."""
        return Sides(-self.negative, -self.positive, self.negative_weights, self.positive_weights)

    @property
    def walk(self) -> tuple[Ints, Flags, Weights, Weights]:
        """Samples from the highest score down (positives are numbered first), whether the last of equals; weights."""
        order, last = walk(np.concatenate([self.positive, self.negative]))
        return order, last, self.positive_weights, self.negative_weights

    @property
    def totals(self) -> tuple[Ints, Ints]:
        """Weighted samples of either side, int64 (k,)."""
        return total(self.positive_weights), total(self.negative_weights)


def walk(scores: Floats) -> tuple[Ints, Flags]:
    """Order from the highest score down, and at each place whether the next score is lower."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.ones(len(scores), dtype=bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return order, last


def roc_area(sides: Sides) -> Floats:
    """P(positive > negative) + P(equal) / 2 for each resample, float64 (k,); NaN where a side is empty."""
    positive, negative = sides.totals
    return _share(_twice_won(*sides.walk), 2 * positive * negative)


def pr_area(sides: Sides) -> Floats:
    """Area under the precision-recall curve for each resample, float64 (k,); NaN where a side is empty.

    Trapezoids with one vertex per distinct score and a last one (recall 0, precision 1).
    """
    positive, negative = sides.totals
    areas = _precision(*sides.walk, np.maximum(positive, 1))
    return np.where((positive > 0) & (negative > 0), areas, np.nan)


def false_positive_rate(sides: Sides, tpr: float, rule: str) -> Floats:
    """The share of negatives that the threshold flags which finds `tpr` of the positives.

    Args:
        sides: scores and weights.
        tpr: true positive rate in (0, 1].
        rule: which threshold that is.
            `first`: the first vertex of the ROC curve, from the highest score down, whose rate is `tpr` or more.
            `nearest`: the vertex whose rate is nearest to `tpr`; of equally near ones the lowest threshold, but
            none after the first that finds all positives.
            `percentile`: the (1 - `tpr`) quantile of the positives' scores, linear between the two samples around
            it as in `numpy.percentile`; negatives strictly above it are flagged.

    Returns:
        float64 (k,), NaN where a side is empty.

    Raises:
        ParamsError: no such rule, or `tpr` outside (0, 1].
    """
    if rule not in RULES:
        raise ParamsError(f"rule: {rule!r} ({suggest(rule, RULES)})")
    if not 0 < tpr <= 1:
        raise ParamsError(f"tpr: expected a rate in (0, 1], found {tpr}")
    positive, negative = sides.totals
    parts = round(tpr * _PARTS)
    if rule == "percentile":
        flagged = _above_quantile(sides, positive, _PARTS - parts)
    else:
        goal = (positive * parts).astype(np.float64)
        flagged = _flagged_at_goal(*sides.walk, goal, positive, rule == "nearest")
    return np.where(positive > 0, _share(flagged, negative), np.nan)


def _share(part: Ints, whole: Ints) -> Floats:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _above_quantile(sides: Sides, positive: Ints, parts: int) -> Ints:
    """Count the negatives above a quantile (in millionths) of the positives."""
    order = np.argsort(sides.positive, kind="stable")
    end = np.maximum(positive - 1, 0)
    lower, rest = np.divmod(end * parts, _PARTS)
    upper = np.minimum(lower + 1, end)
    low, high = _scores_at_ranks(order, sides.positive, sides.positive_weights, lower, upper)
    share = rest / _PARTS
    # From the nearer end, as numpy.percentile does.
    threshold = np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    return _counts_above(sides.negative, sides.negative_weights, threshold)


@compiled
def total(weights: Weights) -> Ints:
    """Sum of weights uint8 (n, k) under each resample, int64 (k,)."""
    n, k = weights.shape
    sums = np.zeros(k, np.int64)
    for i in range(n):
        row = weights[i]
        for d in range(k):
            sums[d] += row[d]
    return sums


# The loops below begin alike; a compiled function calls no other. `row` lets them run several resamples at once.


@compiled
def _twice_won(order: Ints, last: Flags, positive: Weights, negative: Weights) -> Ints:
    n, k = positive.shape
    above, equal_positives, equal_negatives = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64)
    twice = np.zeros(k, np.int64)
    for place in range(len(order)):
        i = order[place]
        if i < n:
            row = positive[i]
            for d in range(k):
                equal_positives[d] += row[d]
        else:
            row = negative[i - n]
            for d in range(k):
                equal_negatives[d] += row[d]
        if last[place]:
            # A negative loses to the positives above it (twice) and ties with its equals (once).
            for d in range(k):
                twice[d] += equal_negatives[d] * (2 * above[d] + equal_positives[d])
                above[d] += equal_positives[d]
                equal_positives[d] = 0
                equal_negatives[d] = 0
    return twice


@compiled
def _precision(order: Ints, last: Flags, positive: Weights, negative: Weights, positives: Ints) -> Floats:
    n, k = positive.shape
    true, equal_positives, false = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64)
    before, area = np.ones(k), np.zeros(k)
    for place in range(len(order)):
        i = order[place]
        if i < n:
            row = positive[i]
            for d in range(k):
                equal_positives[d] += row[d]
        else:
            row = negative[i - n]
            for d in range(k):
                false[d] += row[d]
        if last[place]:
            for d in range(k):
                true[d] += equal_positives[d]
                flagged = true[d] + false[d]
                # A resample may leave nothing above the first thresholds: no vertex, so the last one stands there.
                precision = true[d] / flagged if flagged else 1.0
                area[d] += equal_positives[d] / positives[d] * (precision + before[d]) / 2
                before[d] = precision
                equal_positives[d] = 0
    return area


@compiled
def _flagged_at_goal(  # noqa: PLR0913 - a compiled loop takes arrays and scalars only
    order: Ints, last: Flags, positive: Weights, negative: Weights, goal: Floats, positives: Ints, nearest: bool  # noqa: FBT001
) -> Ints:  # fmt: skip
    n, k = positive.shape
    true, seen, false = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64)
    best, flagged = np.full(k, np.inf), np.zeros(k, np.int64)
    for place in range(len(order)):
        i = order[place]
        if i < n:
            row = positive[i]
            for d in range(k):
                true[d] += row[d]
        else:
            row = negative[i - n]
            for d in range(k):
                false[d] += row[d]
        if last[place]:
            for d in range(k):
                gap = true[d] * 1e6 - goal[d]
                closer = abs(gap) <= best[d] if nearest else gap >= 0 and best[d] == np.inf
                if closer and seen[d] < positives[d]:
                    best[d] = abs(gap)
                    flagged[d] = false[d]
                seen[d] = true[d]
    return flagged


@compiled
def _scores_at_ranks(order: Ints, scores: Floats, weights: Weights, lower: Ints, upper: Ints) -> tuple[Floats, Floats]:
    """Scores at some ranks (0: the lowest) under each resample."""
    k = weights.shape[1]
    below, low, high = np.zeros(k, np.int64), np.zeros(k), np.zeros(k)
    for i in order:
        row = weights[i]
        for d in range(k):
            reached = below[d] + row[d]
            if below[d] <= lower[d] < reached:
                low[d] = scores[i]
            if below[d] <= upper[d] < reached:
                high[d] = scores[i]
            below[d] = reached
    return low, high


@compiled
def _counts_above(scores: Floats, weights: Weights, threshold: Floats) -> Ints:
    n, k = weights.shape
    counts = np.zeros(k, np.int64)
    for i in range(n):
        row = weights[i]
        for d in range(k):
            if scores[i] > threshold[d]:
                counts[d] += row[d]
    return counts
