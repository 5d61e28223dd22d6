"""Integer contributions of samples, and their sums under every bootstrap resample at once.

Exact by construction: contributions are integers, and products with weights run either in bytes (`digit_sums`, where
that is faster) or in float64 (BLAS, and a compiled loop for bins) over blocks small enough that every partial sum stays
below 2**53; blocks are added in int64. So the sums are the same for any block size, thread count or CPU.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import RangeError
from shiftbench.data.formats import E9
from shiftbench.statistics import digit_sums
from shiftbench.statistics.bootstrap import MAX_WEIGHT
from shiftbench.statistics.digit_sums import Column
from shiftbench.statistics.rows import Floats, Ints

# One block of weights is 4096 x 250 bytes, which a core's second cache holds.
ROWS, RESAMPLES = 4096, 250
_EXACT, _LIMIT = 1 << 53, 1 << 62


@dataclass(frozen=True, slots=True)
class Contributions:
    """Contributions of n samples to a metric's sums.

    Attributes:
        count: 1 where the sample counts, else 0; int64 (n,).
        sums: quantities summed over the evaluation, each int64 (n,).
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
    """Weighted sums: `count` (k,), `sums` (m, k) and `binned` (width, k), int64; k = 1 + resamples."""

    count: Ints
    sums: Ints
    binned: Ints


def ratio(numerator: Ints | Floats, denominator: Ints | Floats) -> Floats:
    """Divide sums; NaN where nothing counts."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def mean(sums: Sums, **_: object) -> Floats:
    """Mean of the first quantity over the samples that count, float64 (k,); NaN if nothing counts."""
    return ratio(sums.sums[0], sums.count)


def mean_e9(sums: Sums, **_: object) -> Floats:
    """Mean of the first quantity, which is in billionths, float64 (k,); NaN if nothing counts."""
    return ratio(sums.sums[0], sums.count * E9)


def weighted_sums(parts: Sequence[Contributions], weights: NDArray[np.uint8]) -> list[Sums]:
    """Sum the contributions of several evaluations or metrics over the same samples, under every resample.

    Args:
        parts: contributions of the same n samples in the same order.
        weights: uint8 (n, k), from `bootstrap.weights`.

    Raises:
        RangeError: a sum could pass 2**62.
    """
    columns = {id(array): Column(array) for part in parts for array in (part.count, *part.sums)}
    binned = {id(part): Column(part.binned, _bins(part), part.width) for part in parts if part.binned is not None}
    totals = _sum([*columns.values(), *binned.values()], weights)
    empty = np.zeros((0, weights.shape[1]), dtype=np.int64)
    return [
        Sums(
            totals[columns[id(part.count)]][0],
            np.concatenate([empty, *(totals[columns[id(array)]] for array in part.sums)]),
            totals[binned[id(part)]] if id(part) in binned else empty,
        )
        for part in parts
    ]


def _sum(columns: list[Column], weights: NDArray[np.uint8]) -> dict[Column, Ints]:
    """Sums of each column, int64 (width, k)."""
    step = _block_size(columns, len(weights))
    byte_columns, float_columns = digit_sums.split(columns, weights)
    plain = [column for column in float_columns if column.bins is None]
    binned = [column for column in float_columns if column.bins is not None]
    return {
        **dict(zip(byte_columns, digit_sums.sums(byte_columns, weights), strict=True)),
        **dict(zip(plain, _plain_sums(plain, weights, step), strict=True)),
        **dict(zip(binned, _binned_sums(binned, weights, step), strict=True)),
    }


def _plain_sums(columns: list[Column], weights: NDArray[np.uint8], step: int) -> list[Ints]:
    """Sum columns of one bin by BLAS, `step` samples at a time; int64 (1, k) each."""
    if not columns:
        return []
    values = np.stack([np.asarray(column.values, dtype=np.float64) for column in columns])
    sums = np.zeros((len(columns), weights.shape[1]), dtype=np.int64)
    for rows, resamples in _blocks(weights, step):
        products = values[:, rows] @ weights[rows, resamples].astype(np.float64)
        sums[:, resamples] += products.astype(np.int64)
    return list(sums[:, None])


def _binned_sums(columns: list[Column], weights: NDArray[np.uint8], step: int) -> list[Ints]:
    """Sum columns within their bins, `step` samples at a time; int64 (width, k) each."""
    if not columns:
        return []
    values = np.stack([np.asarray(column.values, dtype=np.float64) for column in columns])
    ends = np.cumsum([column.width for column in columns], dtype=np.int32)
    bins = np.stack([column.bins for column in columns if column.bins is not None])
    bins[1:] += ends[:-1, None]
    sums = np.zeros((ends[-1], weights.shape[1]), dtype=np.int64)
    for rows, resamples in _blocks(weights, step):
        block = weights[rows, resamples]
        block_sums = np.zeros((len(sums), block.shape[1]))
        _add(values[:, rows], bins[:, rows], block, block_sums)
        sums[:, resamples] += block_sums.astype(np.int64)
    return np.split(sums, ends[:-1])


def _blocks(weights: NDArray[np.uint8], step: int) -> Iterator[tuple[slice, slice]]:
    n, k = weights.shape
    for start in range(0, n, step):
        for low in range(0, k, RESAMPLES):
            yield slice(start, min(start + step, n)), slice(low, low + RESAMPLES)


def _block_size(columns: list[Column], n: int) -> int:
    """Number of rows that can be summed in float64 so that every sum of weighted integers is exact."""
    largest = max(column.largest for column in columns)
    if largest * MAX_WEIGHT > _EXACT or (n * largest * MAX_WEIGHT > _LIMIT and _total(columns) > _LIMIT):
        raise RangeError(
            f"a metric's contributions are too large to be added exactly: the largest of {n} is {float(largest):g}"
        )
    return max(1, min(ROWS, _EXACT // max(1, MAX_WEIGHT * largest)))


def _total(columns: list[Column]) -> float:
    return max(float(np.abs(column.values.astype(np.float64)).sum()) for column in columns) * MAX_WEIGHT


def _bins(part: Contributions) -> NDArray[np.int32]:
    """Bin of each sample, int32 (n,)."""
    bins = part.bins
    if bins is None or (bins.size and not 0 <= bins.min() <= bins.max() < part.width):
        raise RangeError(f"a metric's bins lie outside of 0 to {part.width - 1}")
    return bins.astype(np.int32)


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
        for sample in range(values.shape[1]):
            total, row, value = sums[rows[part, sample]], weights[sample], values[part, sample]
            for resample in range(row.shape[0]):
                total[resample] += value * row[resample]
