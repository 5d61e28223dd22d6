"""Cells of a table that do not fit their row and their column: robust residuals, and how large ones come by chance.

Rows are methods, columns are benchmarks. A cell is expected to be the sum of an effect of its row and one of its
column; both are fitted by median polish, so that a wrong cell does not move them much. A residual counts in
robust standard deviations of its column. The limit is that which no cell passes in 95% of drawn tables, or in another
share of them: normal numbers, with the cells missing that are missing here. Where residuals have heavier tails than
normal ones, more cells pass it.

Source: Tukey, Exploratory Data Analysis, 1977, chapter 11 (median polish); Rousseeuw and Croux, Alternatives to the
Median Absolute Deviation, 1993 (the deviation, 1.4826 times the median of absolute residuals).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats

TABLES = 4000
"""Drawn tables, from which the limit is read."""
_ROUNDS = 8
_FEWEST = 5
_NORMAL = 1.4826  # standard deviation of a normal distribution by its median absolute deviation


@dataclass(frozen=True, slots=True)
class OddCells:
    """Residuals of a table.

    Attributes:
        residuals: cell less the effects of its row and column, in the table's unit, float64 (rows, columns); NaN where
            the cell is missing, or the only one of its row.
        deviations: the same in robust standard deviations of the column.
        limit: absolute deviation that no cell passes in drawn tables, but for a share of `error`.
    """

    residuals: Floats
    deviations: Floats
    limit: float

    @property
    def odd(self) -> NDArray[np.bool_]:
        """Which cells pass the limit, bool (rows, columns)."""
        with np.errstate(invalid="ignore"):
            passed: NDArray[np.bool_] = np.abs(self.deviations) > self.limit
        return passed


def find(table: Floats, seed: int = 0, tables: int = TABLES, error: float = bootstrap.ERROR) -> OddCells:
    """Residuals of a table's cells.

    Args:
        table: float64 (rows, columns); NaN: missing.
        seed: of the drawn tables.
        tables: how many are drawn.
        error: share of drawn tables in which a cell passes the limit.

    Raises:
        DataError: a column has fewer than five cells in rows of two or more.
    """
    known = np.isfinite(table)
    usable = known & (known.sum(axis=1) > 1)[:, None]
    if table.shape[1] < 2 or min(usable.sum(axis=0)) < _FEWEST:
        raise DataError(f"a column has fewer than {_FEWEST} cells in rows of two or more; leave it out")
    residuals, deviations = _polished(np.where(usable, table, np.nan)[None])
    stream = RandomStream(seed, "odd_cells", "", "tables")
    noise = stream.normal((tables, *table.shape)).astype(np.float64)
    drawn = _polished(np.where(usable, noise, np.nan))[1]
    largest = np.nanmax(np.abs(drawn), axis=(1, 2))
    return OddCells(residuals[0], deviations[0], float(np.quantile(largest, 1 - error, method="higher")))


def _polished(tables: Floats) -> tuple[Floats, Floats]:
    """Residuals of tables (tables, rows, columns) after median polish, and the same by their columns' deviation."""
    rest = tables.copy()
    for _ in range(_ROUNDS):
        for axis in (1, 2):
            rest -= _median(rest, axis)
    scale = _NORMAL * _median(np.abs(rest), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return rest, np.where(rest == 0, 0.0, rest / scale) + 0 * rest


def _median(values: Floats, axis: int) -> Floats:
    """Median along an axis, which is kept, without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=axis)  # NaN last
    count = np.isfinite(values).sum(axis=axis, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[axis] - 1)
    middle: Floats = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    return middle
