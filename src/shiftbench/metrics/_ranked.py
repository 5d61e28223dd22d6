"""Weighted counts of ID and OOD scores above each threshold; helper of the detection metrics.

Scores are sorted once; each draw only changes the weights, so that a draw costs two cumulative sums.
Counts are integers, so ties and draws are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.metrics._rows import Floats, Ints

_DRAWS = 64  # draws at a time: 64 x 100,000 samples x 8 bytes = 50 MB


@dataclass(frozen=True, slots=True)
class Counts:
    """Weighted counts at or above each distinct score, from the highest score down.

    Attributes:
        id, ood: int64 (thresholds, k); the last row counts all.
    """

    id: Ints
    ood: Ints


def counts(
    id: Floats, ood: Floats, id_weights: NDArray[np.uint8], ood_weights: NDArray[np.uint8]
) -> Iterator[Counts]:
    """Yield the counts of a few draws at a time, in the order of the draws.

    Args:
        id: scores float64 (n,).
        ood: scores float64 (m,).
        id_weights: uint8 (n, k).
        ood_weights: uint8 (m, k).
    """
    thresholds = np.unique(np.concatenate([id, ood]))[::-1]
    sides = [_sorted(scores, thresholds) for scores in (id, ood)]
    for low in range(0, id_weights.shape[1], _DRAWS):
        above = [
            _above(order, ends, weights[:, low : low + _DRAWS])
            for (order, ends), weights in zip(sides, (id_weights, ood_weights), strict=True)
        ]
        yield Counts(*above)


def _sorted(scores: Floats, thresholds: Floats) -> tuple[Ints, Ints]:
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -thresholds, side="right")
    return order, ends


def _above(order: Ints, ends: Ints, weights: NDArray[np.uint8]) -> Ints:
    total = np.zeros((len(order) + 1, weights.shape[1]), dtype=np.int64)
    np.cumsum(weights[order], axis=0, dtype=np.int64, out=total[1:])
    return total[ends]


def curve(
    statistic: Callable[[Counts], Floats],
    id: Floats,
    ood: Floats,
    id_weights: NDArray[np.uint8],
    ood_weights: NDArray[np.uint8],
) -> Floats:
    """Return a statistic of the counts for all draws, float64 (k,); NaN where a side has no samples."""
    if not len(id) or not len(ood):
        return np.full(id_weights.shape[1], np.nan)
    parts = []
    for part in counts(id, ood, id_weights, ood_weights):
        both = (part.id[-1] > 0) & (part.ood[-1] > 0)
        filled = Counts(np.where(both, part.id, 1), np.where(both, part.ood, 1))
        parts.append(np.where(both, statistic(filled), np.nan))
    return np.concatenate(parts)


def rate(positive: Ints, negative: Ints, tpr: float) -> Floats:
    """Return the negatives' share at the first threshold where the positives' share reaches `tpr`.

    Args:
        positive: counts at or above each threshold, int64 (thresholds, k), the last row all.
        negative: the same.
        tpr: in (0, 1], compared in millionths so that 0.95 of 20 is exactly 19.
    """
    reached = positive * 1_000_000 >= positive[-1] * round(tpr * 1_000_000)
    first = np.argmax(reached, axis=0)
    share: Floats = np.take_along_axis(negative, first[None], axis=0)[0] / negative[-1]
    return share
