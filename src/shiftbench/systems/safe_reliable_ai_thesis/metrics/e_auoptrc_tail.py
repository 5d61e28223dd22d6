"""Excess area under the risk-coverage curve from the optimal point to full coverage.

The ideal order accepts all right predictions first, so its risk leaves 0 where coverage is the accuracy a: the optimal
point. From there on it is (c - a) / c, and

    E-AUoptRC = integral from a to 1 of r(c) - (c - a) / c dc = 1/n sum over i >= i* of r_i - (i - a n) / i,
    i* = max(1, a n)

0 for the ideal order; -a ln a - a (1 - a) for a random one. Equal scores: the expectation over their orders.

Source: Ao, Rueger and Siddharthan, "Empirical Optimal Risk to Quantify Model Trustworthiness for Failure Detection",
2023, arXiv:2308.03179. Formula reconstructed from its abstract; the repository AoShuang92/optimal_risk is empty.
Third parties use the name for other things: an integral from 0 to a over macro-F1 without the ideal curve, and the
excess of the whole curve (`eaurc`). Hence `_tail`.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics.rows import Floats
from shiftbench.systems.safe_reliable_ai_thesis.metrics import _tail

KIND = "failure"
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def compute(scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8]) -> Floats:
    """Return the area for each draw, float64 (k,), from scores (n,), correct (n,), weights uint8 (n, k)."""
    tail = _tail.tail(scores, correct, weights)
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
