"""The random words of a batch of samples in torch: the same words as those of `rng.RandomStream`, on any device.

Philox4x64-10 in int64. Sample i of the batch draws what `rng.RandomStream(seed, shift, dataset, keys[i])` draws;
every call has the samples as its leading axis. torch has no unsigned 64-bit arithmetic: words are int64 with
the same 64 bits, and 16-bit words int32 from 0 to 65,535.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x64-10).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch

from shiftbench.base import rng
from shiftbench.base.errors import RangeError

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = 0xFFFFFFFF
_ROUNDS = 10
_DRAWS = 1 << 16


class RandomStream:
    """The random words of n samples.

    Args:
        keys: int64 (n, 2): the two halves of each sample's Philox key, low first, as `keys_of` makes them.
    """

    def __init__(self, keys: torch.Tensor) -> None:
        self._keys = keys
        self._drawn = 0  # raw words that each sample has drawn

    @classmethod
    def of(cls, words: Sequence[rng.RandomStream], device: torch.device | str = "cpu") -> RandomStream:
        """The words of `rng.RandomStream`s, one per sample, none of which has drawn a word yet."""
        halves = np.array([word.key for word in words], dtype=np.uint64).view(np.int64)
        return cls(torch.from_numpy(halves.reshape(-1, 2)).to(device))

    @property
    def device(self) -> torch.device:
        """Where the words are made."""
        return self._keys.device

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._keys)

    def raw(self, count: int) -> torch.Tensor:
        """The next `count` 64-bit words of each sample, int64 (n, count)."""
        first, last = self._drawn // 4, -(-(self._drawn + count) // 4)
        skipped = self._drawn - 4 * first
        self._drawn += count
        blocks = torch.arange(first + 1, last + 1, device=self.device)  # NumPy counts from 1
        return _philox(self._keys, blocks).flatten(1)[:, skipped : skipped + count]

    def words16(self, count: int) -> torch.Tensor:
        """16-bit words int32 (n, count), the least significant of each raw word first."""
        shifts = torch.arange(0, 64, 16, device=self.device)
        parts = (self.raw(-(-count // 4))[..., None] >> shifts) & 0xFFFF
        return parts.flatten(1)[:, :count].to(torch.int32)

    def uniform(self, shape: int | tuple[int, ...] = ()) -> torch.Tensor:
        """Uniform float32 (n, *shape) in (0, 1): the middles of 65,536 equal steps."""
        size = _shape(shape)
        values = (self.words16(math.prod(size)).float() + 0.5) * (1 / _DRAWS)
        return values.reshape(len(self), *size)

    def normal(self, shape: int | tuple[int, ...] = ()) -> torch.Tensor:
        """Standard normal float32 (n, *shape) (65,536 equal quantiles)."""
        size = _shape(shape)
        table = normal_floats(self.device)
        return table[self.words16(math.prod(size)).long()].reshape(len(self), *size)

    def poisson(self, lam: torch.Tensor) -> torch.Tensor:
        """Poisson counts int64 of `lam`'s shape (n, ...), rates 0 to 10,000.

        Raises:
            RangeError: a rate is negative, not finite or above 10,000.
        """
        distinct, index = torch.unique(lam.double(), return_inverse=True)
        rates = [float(rate) for rate in distinct.cpu()]
        if not all(0 <= rate <= rng.POISSON_LIMIT for rate in rates):
            raise RangeError(f"Poisson rates lie in 0 to {rng.POISSON_LIMIT:g}; got {lam.min():g} to {lam.max():g}")
        tables = [rng.poisson_table(rate) for rate in rates]
        lengths = torch.tensor([0] + [len(table) for table in tables], device=self.device)
        joined = np.concatenate([table + i * _DRAWS for i, table in enumerate(tables)])
        words = index * _DRAWS + self.words16(lam[0].numel()).reshape(lam.shape)
        ends = torch.from_numpy(joined).to(self.device)
        return torch.searchsorted(ends, words, right=True) - lengths.cumsum(0)[index]

    def integers(self, low: int, high: int, shape: int | tuple[int, ...] = ()) -> torch.Tensor:
        """Int64 (n, *shape) in [low, high).

        Raises:
            RangeError: the interval is empty or longer than 2**31.
        """
        span, size = high - low, _shape(shape)
        if not 0 < span <= 1 << 31:  # a product with 32 bits must fit 63
            raise RangeError(f"integers need low < high <= low + 2**31; got low={low}, high={high}")
        count = math.prod(size)
        raw = self.raw(-(-count // 2))
        halves = torch.stack((raw & _LOW, (raw >> 32) & _LOW), dim=-1).flatten(1)[:, :count]
        return (halves * span >> 32).reshape(len(self), *size) + low

    def choice(self, count: int, size: int | None = None) -> torch.Tensor:
        """Distinct indices int64 (n, size) below `count` in random order.

        Raises:
            RangeError: `size` is larger than `count`.
        """
        size = count if size is None else size
        if not 0 <= size <= count:
            raise RangeError(f"cannot choose {size} of {count} without repeats")
        unsigned = self.raw(count) ^ (-1 << 63)  # order as if they were unsigned
        return torch.argsort(unsigned, dim=1, stable=True)[:, :size]


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else shape


@functools.lru_cache(maxsize=8)
def normal_floats(device: torch.device) -> torch.Tensor:
    """The 65,536 normal quantiles, float32, as `rng.RandomStream.normal` reads them."""
    exact = rng.normal_table().astype(np.float32) / np.float32(1 << rng.NORMAL_BITS)
    return torch.from_numpy(exact).to(device)


def _philox(keys: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """Int64 (n, blocks, 4): Philox4x64-10 of counters (block, 0, 0, 0) under each key (n, 2)."""
    size = (len(keys), len(blocks))
    zero = torch.zeros(size, dtype=torch.int64, device=keys.device)
    words = [blocks.expand(size), zero, zero, zero]
    low, high = keys[:, :1], keys[:, 1:]
    for _ in range(_ROUNDS):
        first_high, first_low = _multiply(words[0], _MULTIPLIERS[0])
        second_high, second_low = _multiply(words[2], _MULTIPLIERS[1])
        words = [second_high ^ words[1] ^ low, second_low, first_high ^ words[3] ^ high, first_low]
        low, high = low + _signed(_WEYL[0]), high + _signed(_WEYL[1])
    return torch.stack(words, dim=-1)


def _multiply(values: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The high and low 64 bits of the unsigned product; int64 wraps around as unsigned does."""
    value_low, value_high = values & _LOW, (values >> 32) & _LOW
    factor_low, factor_high = factor & _LOW, factor >> 32
    crossed = value_high * factor_low + (_upper(value_low * factor_low))
    middle = value_low * factor_high + (crossed & _LOW)
    high = value_high * factor_high + _upper(crossed) + _upper(middle)
    return high, values * _signed(factor)


def _upper(product: torch.Tensor) -> torch.Tensor:
    """The upper 32 bits of an unsigned word."""
    return (product >> 32) & _LOW


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word
