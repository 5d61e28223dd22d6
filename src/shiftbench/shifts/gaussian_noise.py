"""Gaussian noise: each channel of each pixel gets its own normal value, clipped to 0 to 255.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are
standard deviations relative to white, from `make_imagenet_c.py`. Differs: the noise is rounded to
whole grey levels before it is added (there the sum is truncated, which darkens by half a level), and
a stronger severity scales the same noise. Noise is per pixel, at any size.

Takes 16-bit words: one per value of the image.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.rng import NORMAL_BITS, Words, normal_table
from shiftbench.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.08, 2: 0.12, 3: 0.18, 4: 0.26, 5: 0.38}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: NDArray[np.uint8], severity: float, words: Words) -> NDArray[np.uint8]:
    """Return a noisy copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (deviation,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    noise = np.take(_noise_table(deviation), words.words16(value.size)).reshape(value.shape)
    noisy: NDArray[np.uint8] = np.asarray(cv2.add(value, noise, dtype=cv2.CV_8U), dtype=np.uint8)
    return noisy.reshape(value.shape)


@lru_cache(maxsize=16)
def _noise_table(deviation: float) -> NDArray[np.int16]:
    """Noise in grey levels for each 16-bit word."""
    levels = np.rint(normal_table() * (255 * deviation / (1 << NORMAL_BITS)))
    table: NDArray[np.int16] = levels.astype(np.int16)
    table.flags.writeable = False
    return table
