"""Integer contributions of samples, and their sums under every bootstrap draw at once.

Exact by construction: contributions are integers, products with weights run in float64 (BLAS, and a
compiled loop for bins) over blocks small enough that every partial sum stays below 2**53,
and blocks are added in int64. So the sums are the same for any block size, thread count or CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.compiled import compiled
from shiftbench.errors import RangeError
from shiftbench.statistics.bootstrap import MAX_WEIGHT
from shiftbench.statistics.rows import Floats, Ints

# One block of weights is 4096 x 250 bytes, which a core's second cache holds.
ROWS, DRAWS = 4096, 250
_EXACT, _LIMIT = 1 << 53, 1 << 62


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each of n samples adds to a metric's sums.

    Attributes:
        count: 1 where the sample counts, else 0; int64 (n,).
        sums: quantities summed over the cell, each int64 (n,).
        binned: a quantity summed within each bin, int64 (n,), or None.
        bins: the bin of each sample, in [0, width); int64 (n,), or None.
        width: number of bins.
    """

    count: Ints
    sums: tuple[Ints, ...] = ()
    binned: Ints | None = None
    bins: Ints | None = None
    width: int = 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Weighted sums: `count` (k,), `sums` (m, k) and `binned` (width, k), int64; k = 1 + draws."""

    count: Ints
    sums: Ints
    binned: Ints


def ratio(numerator: Ints | Floats, denominator: Ints | Floats) -> Floats:
    """Divide sums; NaN where nothing counts."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def weighted(parts: Sequence[Contributions], weights: NDArray[np.uint8]) -> list[Sums]:
    """Sum the contributions of several cells or metrics over the same samples, under every draw.

    Args:
        parts: contributions of the same n samples in the same order.
        weights: uint8 (n, k), from `bootstrap.weights`.

    Raises:
        RangeError: a sum could pass 2**62.
    """
    columns = {id(array): array for part in parts for array in (part.count, *part.sums)}
    at = {name: row for row, name in enumerate(columns)}
    binned = [part for part in parts if part.binned is not None]
    dense, bins = _sum(list(columns.values()), binned, weights)
    starts = np.cumsum([0, *(part.width for part in binned)])
    spans = {
        id(part): bins[low:high]
        for part, low, high in zip(binned, starts[:-1], starts[1:], strict=True)
    }
    none = np.zeros((0, weights.shape[1]), dtype=np.int64)
    return [
        Sums(
            dense[at[id(part.count)]],
            dense[[at[id(array)] for array in part.sums]],
            spans.get(id(part), none),
        )
        for part in parts
    ]


def _sum(
    columns: list[Ints], binned: list[Contributions], weights: NDArray[np.uint8]
) -> tuple[Ints, Ints]:
    n, k = weights.shape
    values = np.stack([np.asarray(column, dtype=np.float64) for column in columns])
    height = sum(part.width for part in binned)
    added = np.stack(
        [np.asarray(part.binned, dtype=np.float64) for part in binned] or [np.zeros(n)]
    )
    which = _rows_of(binned, n)
    dense, bins = np.zeros((len(columns), k), dtype=np.int64), np.zeros((height, k), dtype=np.int64)
    step = _block([*values, *added], n)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        for low in range(0, k, DRAWS):
            block = weights[rows, low : low + DRAWS]
            dense[:, low : low + DRAWS] += (values[:, rows] @ block.astype(np.float64)).astype(
                np.int64
            )
            if binned:
                sums = np.zeros((height, block.shape[1]))
                _add(added[:, rows], which[:, rows], block, sums)
                bins[:, low : low + DRAWS] += sums.astype(np.int64)
    return dense, bins


def _block(arrays: list[Floats], n: int) -> int:
    """Return how many of n rows may be summed in float64, so that every sum of weighted integers is exact."""
    largest = max(
        (max(float(array.max()), -float(array.min())) for array in arrays if array.size),
        default=0.0,
    )
    if largest * MAX_WEIGHT > _EXACT or (
        n * largest * MAX_WEIGHT > _LIMIT and _total(arrays) > _LIMIT
    ):
        raise RangeError(
            f"a metric's contributions are too large to be added exactly: the largest of {n} is {largest:g}"
        )
    return int(max(1, min(ROWS, _EXACT // max(1, MAX_WEIGHT * largest))))


def _total(arrays: list[Floats]) -> float:
    return max(float(np.abs(array).sum(axis=-1).max()) for array in arrays) * MAX_WEIGHT


def _rows_of(binned: list[Contributions], n: int) -> NDArray[np.int32]:
    """Return the row of all bins of all parts that each sample adds to, int32 (parts, n).

    Raises:
        RangeError: a bin of a part is none of its bins.
    """
    starts = np.cumsum([0, *(part.width for part in binned)])
    found = np.empty((max(len(binned), 1), n), dtype=np.int32)
    for row, part, start in zip(found, binned, starts, strict=False):
        inside = part.bins is not None and (
            not n or 0 <= part.bins.min() <= part.bins.max() < part.width
        )
        if not inside:
            raise RangeError(f"a metric's bins lie outside of 0 to {part.width - 1}")
        row[:] = part.bins + start
    return found


@compiled
def _add(values: Floats, rows: NDArray[np.int32], weights: NDArray[np.uint8], sums: Floats) -> None:
    """Add to the row of each sample its value times its weights.

    Args:
        values: float64 (parts, n).
        rows: int32 (parts, n), rows of `sums`.
        weights: uint8 (n, k).
        sums: float64 (rows, k), added to.
    """
    for part in range(values.shape[0]):
        for at in range(values.shape[1]):
            total, row, value = sums[rows[part, at]], weights[at], values[part, at]
            for draw in range(row.shape[0]):
                total[draw] += value * row[draw]
