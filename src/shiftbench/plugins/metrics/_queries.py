"""Means and variances over queries of a measure of each query's list (columns `*_e9`)."""

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

E6 = 1_000_000
"""Squares are of millionths, so that sums of them stay exact."""


def mean_of(rows: Rows, column: str) -> Contributions:
    """Each query adds its measure."""
    return Contributions(rows.present(column), (rows.column(column),))


def mean(sums: Sums) -> Floats:
    """Return the mean, float64 (k,)."""
    return ratio(sums.sums[0] / E9, sums.count)


def square_of(rows: Rows, column: str) -> Contributions:
    """Each query adds its measure and the square of it, in millionths."""
    value = (rows.column(column) + 500) // 1000
    return Contributions(rows.present(column), (value, value * value))


def variance(sums: Sums) -> tuple[Floats, Floats]:
    """Return mean and variance (divided by n, not by n - 1), float64 (k,) each."""
    first = ratio(sums.sums[0] / E6, sums.count)
    second = ratio(sums.sums[1] / E6 / E6, sums.count)
    return first, np.maximum(second - first * first, 0)
