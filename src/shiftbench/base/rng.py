"""Random words that belong to a sample: Philox keyed by identity, used through `random_raw` only.

`RandomStream(seed, shift, dataset, key)` is a stream of 64-bit words that depends on nothing but its four
arguments: not on workers, order, batch size or library version. NumPy promises that Philox's raw
words never change (NEP 19). It does not promise this for its distributions, so ours are integer
tables over 16-bit words, which are also several times faster.

Severity is not part of the key: a curve over severity is one nuisance that grows. A shift takes
the same words at each severity; `fresh: true` in params adds the severity to the key.

| call                  | raw 64-bit words taken                 | resolution          |
| --------------------- | -------------------------------------- | ------------------- |
| `raw(n)`              | n                                      | 64 bit              |
| `words16(n)`          | ceil(n / 4)                            | 16 bit              |
| `uniform`, `normal`   | ceil(values / 4)                       | 16 bit              |
| `poisson`             | ceil(values / 4)                       | 16 bit              |
| `integers`            | ceil(values / 2)                       | 32 bit              |
| `choice(n, size)`     | n, whatever `size` is                  | 64 bit              |

Each call starts at a fresh raw word. An implementation in torch or C takes the 16-bit words of one raw word from
the least significant end.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x64-10).
"""

from __future__ import annotations

import decimal
import hashlib
import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import ArrayLike, NDArray

from shiftbench.base.errors import RangeError

NORMAL_BITS = 20  # the normal table is fixed point with 20 fractional bits, exact in float32
POISSON_LIMIT = 10_000.0
_DRAWS = 1 << 16


def _digest(size: int, *parts: str | int | float) -> int:
    """Hash a sequence of parts; the length before each keeps any two sequences apart."""
    state = hashlib.blake2b(digest_size=size, person=b"shiftbench")
    for part in parts:
        data = str(part).encode()
        state.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(state.digest(), "little")


def derive(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the purpose `names`, e.g. of one training run.

    Example:
        >>> derive(0, "convnet", "init") == derive(0, "convnet", "order")
        False
    """
    return _digest(8, "derive", seed, *names) >> 1


def unit_hash(*names: str | int) -> int:
    """The 64-bit hash of a unit (a sample key, a group, a cluster), in [0, 2**64).

    Example:
        >>> held_out = unit_hash("fashion_mnist/train/000123") * 10 >> 64 == 0  # a tenth of all
    """
    return _digest(8, "unit", *names)


class _Key(ISeedSequence):
    """A key for Philox, passed as a seed sequence: Philox asks the system for entropy if it gets `key=`."""

    def __init__(self, key: int) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> NDArray[np.uint64]:  # noqa: ARG002
        """The two 64-bit halves of the key, low first."""
        return np.array([self.key & (1 << 64) - 1, self.key >> 64], dtype=np.uint64)


class RandomStream:
    """The random words of one (seed, shift, dataset, sample key).

    Args:
        seed: the benchmark's seed, any integer.
        shift: name of the shift as params.yaml spells it.
        dataset: name of the dataset.
        key: the sample's key.
        severity: only with `fresh: true`; draws other words at each severity.
    """

    def __init__(self, seed: int, shift: str, dataset: str, key: str, severity: float | None = None) -> None:
        self._identity = (int(seed), shift, dataset, key, severity)
        fresh = () if severity is None else (float(severity),)
        self._key = _digest(16, "words", int(seed), shift, dataset, key, *fresh)
        self._bits: np.random.Philox | None = None  # made for the first word: many shifts take none

    @property
    def key(self) -> tuple[int, int]:
        """The two 64-bit halves of the Philox key, low first."""
        return self._key & (1 << 64) - 1, self._key >> 64

    def of(self, shift: str) -> RandomStream:
        """The words of the same sample for another shift, from their beginning."""
        seed, _, dataset, key, severity = self._identity
        return RandomStream(seed, shift, dataset, key, severity)

    def raw(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 64-bit words."""
        if self._bits is None:
            self._bits = np.random.Philox(_Key(self._key))  # type: ignore[arg-type]  # the stub is narrower
        words: NDArray[np.uint64] = self._bits.random_raw(count)
        return words

    def words16(self, count: int) -> NDArray[np.uint16]:
        """Return `count` 16-bit words, the least significant of each raw word first."""
        return self.raw(-(-count // 4)).astype("<u8", copy=False).view("<u2")[:count]

    def uniform(self, shape: int | tuple[int, ...] = ()) -> NDArray[np.float32]:
        """Uniform float32 in (0, 1): the middles of 65,536 equal steps, so that the mean is 1/2."""
        words = self.words16(math.prod(_shape(shape)))
        values = (words.astype(np.float32) + np.float32(0.5)) * np.float32(1 / _DRAWS)
        return values.reshape(_shape(shape))

    def normal(self, shape: int | tuple[int, ...] = ()) -> NDArray[np.float32]:
        """Standard normal float32, at most 4.33 in size (65,536 equal quantiles)."""
        words = self.words16(math.prod(_shape(shape)))
        return _normal_floats()[words].reshape(_shape(shape))

    def poisson(self, lam: ArrayLike) -> NDArray[np.int64]:
        """Poisson counts int64 of `lam`'s shape.

        Args:
            lam: expected counts, 0 to 10,000. Each distinct value costs one table (kept).

        Raises:
            RangeError: an expected count is negative, not finite or above 10,000.
        """
        rates = np.asarray(lam, dtype=np.float64)
        if not rates.size:
            return np.zeros(rates.shape, dtype=np.int64)
        if not np.all((rates >= 0) & (rates <= POISSON_LIMIT)):
            low, high = rates.min(), rates.max()
            raise RangeError(f"Poisson rates lie in 0 to {POISSON_LIMIT:g}; got {low:g} to {high:g}")
        distinct, index = np.unique(rates, return_inverse=True)
        tables = [poisson_table(float(rate)) for rate in distinct]
        starts = np.cumsum([0] + [len(table) for table in tables])[:-1]
        joined = np.concatenate([table + i * _DRAWS for i, table in enumerate(tables)])
        words = index.ravel() * _DRAWS + self.words16(rates.size)
        positions = np.searchsorted(joined, words, side="right") - starts[index.ravel()]
        counts: NDArray[np.int64] = positions.astype(np.int64).reshape(rates.shape)
        return counts

    def integers(self, low: int, high: int, shape: int | tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Int64 in [low, high): 32-bit words, multiplied and shifted.

        Raises:
            RangeError: the interval is empty or longer than 2**32.
        """
        span = high - low
        if not 0 < span <= 1 << 32:
            raise RangeError(f"integers need low < high <= low + 2**32; got low={low}, high={high}")
        count = math.prod(_shape(shape))
        words = self.raw(-(-count // 2)).astype("<u8", copy=False).view("<u4")[:count]
        scaled = (words.astype(np.uint64) * np.uint64(span)) >> np.uint64(32)
        return (scaled.astype(np.int64) + low).reshape(_shape(shape))

    def choice(self, count: int, size: int | None = None) -> NDArray[np.int64]:
        """Return `size` distinct indices below `count` in random order; a smaller size is a prefix.

        Raises:
            RangeError: `size` is larger than `count`.
        """
        size = count if size is None else size
        if not 0 <= size <= count:
            raise RangeError(f"cannot choose {size} of {count} without repeats")
        return np.argsort(self.raw(count), kind="stable")[:size].astype(np.int64)


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else shape


@lru_cache(maxsize=1)
def normal_table() -> NDArray[np.int32]:
    """The normal quantiles at (w + 1/2) / 65,536 as fixed point (20 bits), index w.

    CPython's `inv_cdf` uses `log` and `sqrt` of the C library, accurate to about 1e-15. No quantile is
    within 1e-11 of a rounding boundary, so the integers are the same on every CPU. The upper
    half mirrors the lower: the table's mean is exactly 0.
    """
    inverse = NormalDist().inv_cdf
    half = [round(inverse((w + 0.5) / _DRAWS) * (1 << NORMAL_BITS)) for w in range(_DRAWS // 2)]
    table = np.array(half + [-value for value in reversed(half)], dtype=np.int32)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=1)
def _normal_floats() -> NDArray[np.float32]:
    floats = normal_table().astype(np.float32) / np.float32(1 << NORMAL_BITS)
    floats.flags.writeable = False
    return floats


@lru_cache(maxsize=2048)
def poisson_table(rate: float) -> NDArray[np.int64]:
    """Thresholds t: the count of a 16-bit word w is the number of t[k] <= w.

    t[k] is 65,536 x P(count <= k), rounded; 30-digit decimal arithmetic, equal on every machine.
    """
    with decimal.localcontext(decimal.Context(prec=30, Emin=-999_999)):
        term = (-decimal.Decimal(rate)).exp()
        below, thresholds = term, [round(term * _DRAWS)]
        while thresholds[-1] < _DRAWS:
            term = term * decimal.Decimal(rate) / len(thresholds)
            below += term
            thresholds.append(round(below * _DRAWS))
    return np.array(thresholds, dtype=np.int64)
