"""The one resampler: Poisson bootstrap weights that belong to a unit, not to a table.

Resample i gives unit u the weight Poisson(1), taken from 16-bit word i of the Philox stream keyed by
(seed, u). A unit is a sample's key, or its cluster. The weight depends on nothing else: not on the
order of rows, not on which other units there are. So resample i is the same resampling in every table, and
arithmetic on the replicates of two rows (a difference, a ratio, a mean over shifts) is paired by
construction; the first 100 of 1,000 resamples are the resamples of a run with 100.

Against the multinomial bootstrap the number of resampled units varies, which a statistic that
divides by the sum of the weights does not see (Hanley and MacGibbon 2006; Chamandy et al. 2012, "Estimating
uncertainty for massive data streams"). The 16-bit table moves no probability by more than 2**-17;
its mean differs from 1 by less than 2e-5 and its largest weight is 8.
"""

import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream, poisson_table

MAX_WEIGHT = 8
ERROR = 0.05
_CACHE_BYTES = 1 << 30
_BATCH = 256  # units: 500 kB of words for 1,000 resamples
_cache: OrderedDict[tuple[int, int, int], tuple[pa.StringArray, NDArray[np.uint8]]] = OrderedDict()
_lock = threading.Lock()


@lru_cache(maxsize=1)
def table() -> NDArray[np.uint8]:
    """The Poisson(1) count of each 16-bit word; uint8 (65536,)."""
    counts = np.searchsorted(poisson_table(1.0), np.arange(1 << 16), side="right").astype(np.uint8)
    counts.flags.writeable = False
    return counts


def weights(units: pa.StringArray, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Count of each unit in the data as they are and in each resample.

    The matrices of the last few lists of units are cached (1 GiB at most, the last one in any case).

    Args:
        units: n keys or clusters, in any order; equal units get equal weights.
        resamples: number of bootstrap resamples.
        seed: the benchmark's seed.

    Returns:
        Read-only uint8 (n, 1 + resamples): column 0 is 1 (the data as they are), column i is resample i - 1.
    """
    with _lock:
        for cache_key, (cached_units, matrix) in _cache.items():
            if cache_key[:2] == (resamples, seed) and cached_units.equals(units):
                _cache.move_to_end(cache_key)
                return matrix
        matrix = _matrix(units, resamples, seed)
        _cache[resamples, seed, id(matrix)] = units, matrix
        while len(_cache) > 1 and sum(cached_units.nbytes for _, cached_units in _cache.values()) > _CACHE_BYTES:
            _cache.popitem(last=False)
        return matrix


def _matrix(units: pa.StringArray, resamples: int, seed: int) -> NDArray[np.uint8]:
    encoded = units.dictionary_encode()
    distinct_units = encoded.dictionary.to_pylist()
    distinct = np.empty((len(distinct_units), 1 + resamples), dtype=np.uint8)
    distinct[:, 0] = 1
    counts = table()
    for low in range(0, len(distinct_units), _BATCH):
        batch = slice(low, low + _BATCH)
        words = _words16(distinct_units[batch], resamples, seed)
        np.take(counts, words, out=distinct[batch, 1:], mode="wrap")  # 16 bits: none is outside
    matrix = distinct if len(distinct) == len(units) else distinct[encoded.indices.to_numpy()]
    matrix.flags.writeable = False
    return matrix


def _words16(units: list[str], resamples: int, seed: int) -> NDArray[np.uint16]:
    """`RandomStream(seed, "bootstrap", "", unit).words16(resamples)` of each unit, uint16 (n, resamples).

    One generator takes all keys in turn: making a generator for each key would double the time.
    """
    keys = [RandomStream(seed, "bootstrap", "", unit).key for unit in units]
    generator = np.random.Philox(key=0)
    state: Any = generator.state
    words = np.empty((len(units), -(-resamples // 4)), dtype="<u8")
    for row, key in zip(words, np.array(keys, dtype=np.uint64), strict=True):
        state["state"]["key"] = key
        generator.state = state
        row[:] = generator.random_raw(len(row))
    return words.view("<u2")[:, :resamples]


def interval(replicates: NDArray[np.float64], error: float = ERROR) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the percentile interval along the last axis.

    Convention: of b replicates that are defined, the k-th smallest and the k-th largest with
    k = max(1, floor(error / 2 b)), so that the ends are replicates themselves and no interpolation rounds.
    An interval of fewer than two replicates is NaN.

    Args:
        replicates: float64 (..., resamples), NaN where not defined.
        error: of both sides together.
    """
    defined = np.count_nonzero(~np.isnan(replicates), axis=-1)
    ordered = np.sort(replicates, axis=-1)  # NaN last
    skip = np.maximum(1, np.floor(error / 2 * defined + 1e-9).astype(np.int64)) - 1
    ends = [_pick(ordered, at, defined) for at in (skip, defined - 1 - skip)]
    return ends[0], ends[1]


def _pick(ordered: NDArray[np.float64], at: NDArray[np.int64], defined: NDArray[np.int64]) -> NDArray[np.float64]:
    if not ordered.shape[-1]:
        return np.full(ordered.shape[:-1], np.nan)
    values: NDArray[np.float64] = np.take_along_axis(ordered, np.maximum(at, 0)[..., None], axis=-1)[..., 0]
    return np.where(defined >= 2, values, np.nan)


def p_value(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p-value of no difference along the last axis.

    Twice the smaller share of replicates on one side of zero (zero counts for both sides), with one
    added to count and total so that it is never 0 (Davison and Hinkley 1997, section 4.2), 1 at most;
    NaN without replicates.

    Args:
        differences: replicates of the difference, float64 (..., resamples), NaN where not defined.
    """
    defined = np.count_nonzero(~np.isnan(differences), axis=-1)
    below = np.count_nonzero(differences <= 0, axis=-1)
    above = np.count_nonzero(differences >= 0, axis=-1)
    values = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (defined + 1))
    return np.where(defined > 0, values, np.nan)
