"""Weighted means and products of columns under every draw, the same on every machine; helper of metrics.

Sums run down the rows, one IEEE addition after the other, and in no library's order.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Rows


class Moments:
    """Columns of the rows in which all of them have a value, as numbers of samples that are weighted.

    Args:
        rows: records of one cell.
        weights: uint8 (n, k).
        columns: names of columns in billionths.
    """

    def __init__(self, rows: Rows, weights: NDArray[np.uint8], columns: tuple[str, ...]) -> None:
        there = np.logical_and.reduce([rows.present(name).astype(bool) for name in columns])
        self.values = [rows.column(name)[there, None] / E9 for name in columns]
        self.weights = weights[there].astype(np.float64)
        self.count = self.weights.sum(axis=0)

    def centred(self, at: int) -> Floats:
        """Return a column less its mean, float64 (n, k); exactly 0 where it does not vary."""
        values, counted = self.values[at], self.weights > 0
        mean = ratio((self.weights * values).sum(axis=0), self.count)
        lowest = np.where(counted, values, np.inf).min(axis=0, initial=np.inf)
        highest = np.where(counted, values, -np.inf).max(axis=0, initial=-np.inf)
        return np.asarray((values - mean) * (lowest < highest))

    def product(self, one: Floats, other: Floats) -> Floats:
        """Return the weighted mean of a product, float64 (k,); NaN where nothing counts."""
        return ratio((self.weights * one * other).sum(axis=0), self.count)
