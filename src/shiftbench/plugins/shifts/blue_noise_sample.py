"""Blue noise sample: pixels where a field of blue noise is low become black; they keep apart from each other.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are the
thresholds in standard deviations, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption, where the field's amplitude grows with its frequency
and its phases are random. Differs: the field is white normal noise under a filter of 15 x 15 whole
numbers whose response is the frequency (1 % off on average; below a tenth of half the sampling rate, where
there is hardly any, up to half is missing), with the filter's own standard deviation instead of the field's;
below level 1 the threshold rises from -4.5, and severity 0 drops none. Noise is per pixel, at any size.

Takes 16-bit words: one per pixel of the image with seven more on each side.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import NORMAL_BITS, RandomStream, normal_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: -2.26, 2: -2.02, 3: -1.78, 4: -1.3, 5: -0.82}
RANGE = _levels.RANGE
LOWEST = -4.5
REACH = 7
NOISE_BITS = 12  # of the white noise's fraction
FILTER = (
    (3132,),
    (-567, -103),
    (66, -13, -11),
    (-49, -10, -5, -3),
    (19, -2, -3, -2, -2),
    (-17, -3, -2, -2, -1, -1),
    (8, -1, -1, -1, -1, -1, -1),
    (-8, -2, -1, -2, -1, -1, -1, -2),
)
"""Weights at (i, j) and its mirror images, j from 0 to i: a least-squares fit to the frequency; their sum is 0."""


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with black pixels, uint8 (h, w) or (h, w, 3)."""
    (threshold,) = _levels.at(__name__, LEVELS, severity, zero=LOWEST)
    if severity == 0:
        return value.copy()
    height, width = value.shape[:2]
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    sampled = np.empty_like(clean)
    _drop(clean, blue((height, width), rng), limit(threshold), sampled)
    return sampled.reshape(value.shape)


def blue(shape: tuple[int, int], rng: RandomStream) -> NDArray[np.int32]:
    """Blue noise of `shape`, int32; `limit(1)` is its standard deviation."""
    rows, columns = (count + 2 * REACH for count in shape)
    white = np.take(noise(), rng.words16(rows * columns)).reshape(rows, columns)
    field = np.zeros(shape, dtype=np.int32)
    _filter(white, weights(), field)
    return field


@lru_cache(maxsize=1)
def noise() -> NDArray[np.int16]:
    """The normal value of each 16-bit word, with 12 bits of fraction."""
    values: NDArray[np.int16] = (normal_table() >> (NORMAL_BITS - NOISE_BITS)).astype(np.int16)
    values.flags.writeable = False
    return values


@lru_cache(maxsize=1)
def weights() -> NDArray[np.int32]:
    """A quarter of the filter, int32 (8, 8), index (i, j) from its middle."""
    return np.array(
        [[FILTER[max(i, j)][min(i, j)] for j in range(REACH + 1)] for i in range(REACH + 1)], dtype=np.int32
    )


def limit(threshold: float) -> int:
    """A threshold in standard deviations as a value of the filtered noise."""
    whole = np.pad(weights(), ((REACH, 0), (REACH, 0)), mode="reflect").astype(np.int64)
    return round(threshold * math.sqrt(int((whole * whole).sum())) * (1 << NOISE_BITS))


@compiled
def _filter(white: NDArray[np.int16], weights: NDArray[np.int32], field: NDArray[np.int32]) -> None:
    """Add the filtered noise to `field` (h, w); `white` has a frame of the filter's reach."""
    height, width = field.shape
    reach = weights.shape[0] - 1
    folded = np.empty(width + 2 * reach, dtype=np.int32)
    for row in range(height):
        for i in range(reach + 1):
            above, below = white[row + reach - i], white[row + reach + i]
            twice = np.int32(i > 0)
            for column in range(width + 2 * reach):
                folded[column] = np.int32(above[column]) + twice * np.int32(below[column])
            for column in range(width):
                field[row, column] += folded[column + reach] * weights[i, 0]
            for j in range(1, reach + 1):
                weight = weights[i, j]
                left, right = folded[reach - j :], folded[reach + j :]
                for column in range(width):
                    field[row, column] += (left[column] + right[column]) * weight


@compiled
def _drop(clean: NDArray[np.uint8], field: NDArray[np.int32], limit: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w, c) with `clean`, and with black where the field is at most `limit`."""
    for row in range(clean.shape[0]):
        for column in range(clean.shape[1]):
            kept = np.uint8(field[row, column] > limit)
            for channel in range(clean.shape[2]):
                out[row, column, channel] = clean[row, column, channel] * kept
