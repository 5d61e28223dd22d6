"""DeLong's test of the difference between two AUROCs on the same samples.

Source: DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
characteristic curves"; O(n log n) as in Sun and Xu 2014, "Fast implementation of DeLong's algorithm". Their
midranks are counts of samples below and equal; here they are searched in sorted scores and kept as integers, so that
variances are exact until the last division. Samples are taken as independent.
"""

import math
from dataclasses import dataclass

import numpy as np

from shiftbench.statistics.rows import Floats, Ints


@dataclass(frozen=True, slots=True)
class Components:
    """Structural components of one AUROC, as integers: twice the pairs won, a tie is one.

    Attributes:
        ood: for each OOD sample against all ID samples, int64 (m,), 0 to 2 n.
        id: for each ID sample against all OOD samples, int64 (n,), 0 to 2 m.
    """

    ood: Ints
    id: Ints


def components(id: Floats, ood: Floats) -> Components:
    """Components of scores float64 (n,) and (m,), higher = more OOD."""
    below, above = np.sort(id), np.sort(ood)
    return Components(
        np.searchsorted(below, ood, "left") + np.searchsorted(below, ood, "right"),
        2 * len(ood) - np.searchsorted(above, id, "left") - np.searchsorted(above, id, "right"),
    )


def p_value(one: Components, two: Components) -> float:
    """Two-sided p-value of no difference between two AUROCs on the same samples.

    Returns:
        NaN with fewer than two samples on a side. Without variance: 1 where the AUROCs are equal, else 0.
    """
    n, m = len(one.id), len(one.ood)
    if min(n, m) < 2:
        return math.nan
    gaps = one.ood - two.ood
    difference = int(gaps.sum()) / (2 * n * m)
    variance = _variance(gaps) / (4 * n * n * m) + _variance(one.id - two.id) / (4 * m * m * n)
    if variance == 0:
        return float(difference == 0)
    return math.erfc(abs(difference) / math.sqrt(2 * variance))


def _variance(gaps: Ints) -> float:
    """The sample variance; sums are Python's integers, which do not overflow."""
    n, total, squares = len(gaps), int(gaps.sum()), int((gaps * gaps).sum())
    return (n * squares - total * total) / (n * (n - 1))
