"""Speckle noise: each channel of each pixel is multiplied by its own normal value of mean 1.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are standard
deviations of the factor, from `make_imagenet_c.py`. Differs: rounded, not truncated; factors are whole
8,192ths; a stronger severity scales the same noise. Noise is per pixel, at any size.

Takes 16-bit words: one per value of the image.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import NORMAL_BITS, RandomStream, normal_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.15, 2: 0.2, 3: 0.35, 4: 0.45, 5: 0.6}
RANGE = _levels.RANGE
BITS = 13  # fractional bits of a factor: -1.6 to 3.6 fits 16 bits


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A noisy copy of an image, uint8 (h, w) or (h, w, 3)."""
    (deviation,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    pixels = np.ascontiguousarray(value)
    noisy = np.empty_like(pixels)
    drawn = rng.words16(pixels.size)
    _multiply(pixels.reshape(-1), drawn, factors(deviation), noisy.reshape(-1))
    return noisy


@lru_cache(maxsize=32)
def factors(deviation: float) -> NDArray[np.int16]:
    """The factor for each 16-bit word, int16 in 8,192ths."""
    noise = normal_table() * (deviation / (1 << NORMAL_BITS))
    table: NDArray[np.int16] = np.rint((1 + noise) * (1 << BITS)).astype(np.int16)
    return table


@compiled
def _multiply(
    pixels: NDArray[np.uint8], words: NDArray[np.uint16], table: NDArray[np.int16], out: NDArray[np.uint8]
) -> None:
    for i in range(len(pixels)):
        product = (np.int32(pixels[i]) * np.int32(table[words[i]]) + 4096) >> 13
        out[i] = np.uint8(min(max(product, np.int32(0)), np.int32(255)))
