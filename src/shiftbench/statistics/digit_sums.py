"""Weighted sums of integers as products of bytes, which CPUs with VNNI or AMX multiply 10 to 30 times as fast.

An integer is a few balanced digits of radix 256, each in [-128, 127]; a weight is a byte of its own. So a matrix
product int8 x int8 -> int32 (oneDNN's, through torch) sums each digit, and shifts put the digits' sums together
in int64. Every step is exact, so that the sums are those of any other way. A quantity that is summed within bins
has its digits once for each bin, 0 for samples outside of it.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shiftbench.statistics.rows import Ints

# Samples of one product, and its rows at most: 16 MB of digits, 8 MB of weights for 1,000 resamples. The int32 sums of
# digits are exact for 2**31 / (128 x 8) samples.
SAMPLES, ROWS = 8192, 2048
# A column with more rows of digits (many bins) is summed faster one sample at a time.
HEIGHT = 64
# Fewer products of a weight and a value are too few to gain.
_FEW = 1 << 24
# So many take float64 two to three seconds, and the import of torch one or two.
_MANY = 1 << 34


@dataclass(frozen=True, eq=False)
class Column:
    """Values to be summed: int64 (n,) below 2**55, and the bin of each, int32 (n,) in [0, width); None: one bin."""

    values: Ints
    bins: NDArray[np.int32] | None = None
    width: int = 1

    @cached_property
    def largest(self) -> int:
        """The largest magnitude."""
        return max(int(self.values.max()), -int(self.values.min())) if self.values.size else 0

    @cached_property
    def digits(self) -> int:
        """Number of digits; d of them reach 127 x (1 + 256 + ... + 256**(d - 1))."""
        count = 1
        while self.largest > 127 * (256**count - 1) // 255:
            count += 1
        return count

    @property
    def height(self) -> int:
        """Number of rows of digits of all bins."""
        return self.width * self.digits


@contextmanager
def single_thread(products: int) -> Iterator[None]:
    """Keep the threads of BLAS and torch to one in each thread within.

    Args:
        products: how many products of a weight and a value are to be summed within, about; where they
            are many, torch is imported for them.
    """
    if products > _MANY:
        import torch as _  # noqa: F401
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(1):
        try:
            if torch:
                torch.set_num_threads(1)
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def split(columns: Sequence[Column], weights: NDArray[np.uint8]) -> tuple[list[Column], list[Column]]:
    """Columns that `sums` adds up faster than float64 on this machine, and the other columns.

    Without VNNI there are none: BLAS is as fast. torch is not imported for them; see `single_thread`.
    """
    if weights.size * len(columns) < _FEW or not _multiplies_bytes():
        return [], list(columns)
    return (
        [column for column in columns if column.height <= HEIGHT],
        [column for column in columns if column.height > HEIGHT],
    )


def _multiplies_bytes() -> bool:
    """Whether torch is installed, with a product of bytes that is fast on this CPU; neither name is public API."""
    torch = sys.modules.get("torch")
    fast = getattr(getattr(torch, "cpu", None), "_is_vnni_supported", None)
    return fast is not None and hasattr(torch, "_int_mm") and bool(fast())


def sums(columns: Sequence[Column], weights: NDArray[np.uint8]) -> list[Ints]:
    """Sum columns of n samples under every resample, within their bins.

    Args:
        columns: of n samples in the same order.
        weights: uint8 (n, k), at most 8.

    Returns:
        int64 (width, k) for each column.
    """
    results: list[Ints] = []
    for chunk in _chunks(columns):
        ends = np.cumsum([column.height for column in chunk])
        parts = np.split(_digit_totals(chunk, weights), ends[:-1])
        for column, part in zip(chunk, parts, strict=True):
            scales = 256 ** np.arange(column.digits, dtype=np.int64)[:, None]
            shape = column.width, column.digits, weights.shape[1]
            results.append((part.reshape(shape) * scales).sum(axis=1))
    return results


def _chunks(columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Yield columns of `ROWS` rows of digits together at most, one column at least."""
    chunk: list[Column] = []
    rows = 0
    for column in columns:
        if chunk and rows + column.height > ROWS:
            yield chunk
            chunk, rows = [], 0
        chunk.append(column)
        rows += column.height
    if chunk:
        yield chunk


def _digit_totals(columns: Sequence[Column], weights: NDArray[np.uint8]) -> Ints:
    """Sums of the digits of each bin of each column, lowest first; int64 (sum of heights, k)."""
    import torch

    n, k = weights.shape
    ends = np.cumsum([column.height for column in columns])
    totals = np.zeros((ends[-1], k), dtype=np.int64)
    # AMX takes 16 resamples at a time; a rest costs a seventh of the speed.
    padded_k = -(-k // 16) * 16
    # Memory used once is slower than the sums.
    digits = np.empty(ends[-1] * min(n, SAMPLES), dtype=np.int8)
    block = np.zeros((min(n, SAMPLES), padded_k), dtype=np.int8)
    product = torch.empty((int(ends[-1]), padded_k), dtype=torch.int32)
    for start in range(0, n, SAMPLES):
        samples = slice(start, min(start + SAMPLES, n))
        size = samples.stop - start
        factor = digits[: ends[-1] * size].reshape(-1, size)
        for column, out in zip(columns, np.split(factor, ends[:-1]), strict=True):
            _spread(column, samples, out)
        block[:size, :k] = weights[samples]
        torch._int_mm(torch.from_numpy(factor), torch.from_numpy(block[:size]), out=product)
        totals += product.numpy()[:, :k]
    return totals


def _spread(column: Column, samples: slice, out: NDArray[np.int8]) -> None:
    """Write the digits of some samples, int8 (height, samples): those of a bin where they lie in it, else 0."""
    # The bytes of value + 128 x (1 + 256 + ...) are the digits + 128.
    offset_values = column.values[samples].astype("<i8") + 128 * (256**column.digits - 1) // 255
    raw = offset_values.view(np.uint8).reshape(-1, 8)[:, : column.digits].T
    low = np.bitwise_xor(raw, 128, order="C").view(np.int8)
    if column.bins is None:
        out[:] = low
        return
    in_bin = column.bins[samples] == np.arange(column.width, dtype=np.int32)[:, None]
    np.multiply(low, in_bin.view(np.int8)[:, None], out=out.reshape(column.width, column.digits, -1))
