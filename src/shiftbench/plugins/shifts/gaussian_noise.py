"""Gaussian noise: each channel of each pixel gets its own normal value, clipped to 0 to 255.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are
standard deviations relative to white, from `make_imagenet_c.py`. Differs: the noise is rounded to
whole grey levels before it is added (there the sum is truncated, which darkens by half a level), and
a stronger severity scales the same noise. Noise is per pixel, at any size.

Takes 16-bit words: one per value of the image.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import NORMAL_BITS, RandomStream, normal_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.08, 2: 0.12, 3: 0.18, 4: 0.26, 5: 0.38}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A noisy copy of an image, uint8 (h, w) or (h, w, 3)."""
    (deviation,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    pixels = np.ascontiguousarray(value)
    noisy = np.empty_like(pixels)
    drawn = rng.words16(pixels.size)
    _add(pixels.reshape(-1), drawn, noise_table(deviation), noisy.reshape(-1))
    return noisy


@lru_cache(maxsize=16)
def noise_table(deviation: float) -> NDArray[np.int16]:
    """The noise in grey levels for each 16-bit word, int16."""
    levels = np.rint(normal_table() * (255 * deviation / (1 << NORMAL_BITS)))
    table: NDArray[np.int16] = levels.astype(np.int16)
    return table


@compiled
def _add(
    pixels: NDArray[np.uint8], words: NDArray[np.uint16], table: NDArray[np.int16], out: NDArray[np.uint8]
) -> None:
    for i in range(len(pixels)):
        total = np.int32(pixels[i]) + np.int32(table[words[i]])
        out[i] = np.uint8(min(max(total, np.int32(0)), np.int32(255)))
