"""Impulse noise: some channels of some pixels become white or black (salt and pepper).

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the share of
values that is hit, from `make_imagenet_c.py`, which calls scikit-image's `random_noise`: half become
white, half black, each channel for itself. Differs: a stronger severity keeps the hits of a weaker
one and adds to them; shares are rounded to 32,768ths. Noise is per pixel, at any size.

Takes 16-bit words: one per value of the image; the lowest are black, the highest white.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.03, 2: 0.06, 3: 0.09, 4: 0.17, 5: 0.27}
RANGE = _levels.RANGE
DRAWS = 1 << 16


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with white and black values, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    pixels = np.ascontiguousarray(value)
    noisy = np.empty_like(pixels)
    drawn = rng.words16(pixels.size)
    _hit(pixels.reshape(-1), drawn, half_of(share), noisy.reshape(-1))
    return noisy


def half_of(share: float) -> int:
    """Number of the 65,536 words that are black; the same number is white."""
    return round(share * DRAWS / 2)


@compiled
def _hit(pixels: NDArray[np.uint8], words: NDArray[np.uint16], half: int, out: NDArray[np.uint8]) -> None:
    for i in range(len(pixels)):
        pixel = pixels[i]
        if words[i] < half:
            pixel = np.uint8(0)
        if words[i] >= 65536 - half:
            pixel = np.uint8(255)
        out[i] = pixel
