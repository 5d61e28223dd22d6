"""Brightness: the brightest channel of each pixel is raised, hue and saturation stay.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are what is
added to the value channel of HSV, relative to white, from `make_imagenet_c.py`. With hue and saturation kept,
every channel of a pixel is multiplied by new value / old value: here in integers, by a factor from a table
of 256. Differs: rounded, not truncated (halves go down, as there). A grey image has the amount added.
Takes no random words.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
BITS = 16  # fractional bits of a factor


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A brighter copy of an image, uint8 (h, w) or (h, w, 3)."""
    (amount,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    factors, offsets = tables(amount)
    if value.ndim == 2:
        greys = (np.arange(256, dtype=np.int32) * factors + offsets) >> BITS
        return np.asarray(cv2.LUT(value, greys.astype(np.uint8)), dtype=np.uint8)
    pixels = np.ascontiguousarray(value)
    brighter = np.empty_like(pixels)
    _raise(pixels.reshape(-1, 3), factors, offsets, brighter.reshape(-1, 3))
    return brighter


@lru_cache(maxsize=32)
def tables(amount: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(factors, offsets) for each brightest channel, int32 in 65,536ths.

    A channel becomes (channel x factor + offset) >> 16. The offset rounds, halves down (the brightest
    channel lies on a half at levels 1, 3 and 5) whichever way its factor was rounded, by half a unit of
    255; and it lifts black, which no factor can.
    """
    old = np.arange(256)
    new = np.minimum(old + 255 * amount, 255) * (1 << BITS)
    factors = np.rint(new / np.maximum(old, 1)).astype(np.int32)
    offsets = np.full(256, (1 << (BITS - 1)) - 128, dtype=np.int32)
    offsets[0] += round(new[0])
    return factors, offsets


@compiled
def _raise(
    pixels: NDArray[np.uint8], factors: NDArray[np.int32], offsets: NDArray[np.int32], out: NDArray[np.uint8]
) -> None:
    for i in range(len(pixels)):
        red, green, blue = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        brightest = max(red, green, blue)
        factor, offset = factors[brightest], offsets[brightest]
        out[i, 0] = (red * factor + offset) >> 16
        out[i, 1] = (green * factor + offset) >> 16
        out[i, 2] = (blue * factor + offset) >> 16
