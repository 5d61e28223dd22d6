"""Inverse sparkles: the image is seen through one star, around it is white.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are
(exponent of the star's fall, depth of the gaps between its rays), from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption (the depth is 1 there at any level). Rays are a quarter of
the image long on average, give or take a quarter of that. Differs: below level 1 the gaps
fade too, so that severity 0 is the image; powers from tables of 12-bit logarithms (0.04 grey levels from exact
ones at most); rounded, not truncated.

Takes two 16-bit words (row and column), one (number of rays), 200 (lengths; fewer rays leave the rest).
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _star

FIELD = "image"
LEVELS = {1: (0.13, 1.0), 2: (0.26, 1.0), 3: (0.52, 1.0), 4: (1.17, 1.0), 5: (1.3, 1.0)}
RANGE = _levels.RANGE
RADIUS = 0.25  # mean length of a ray, relative to the image
STEPS = 12  # bits of the tables
PART = 20  # bits of a logarithm's fraction


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image seen through a star, uint8 (h, w) or (h, w, 3)."""
    exponent, depth = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    height, width = value.shape[:2]
    row, column = (0.25 + 0.5 * rng.uniform(2)).tolist()
    count = _star.rays(int(rng.words16(1)[0]))
    reach = _star.lengths(rng.normal(_star.MOST)[:count], RADIUS * min(height, width))
    pixel = _levels.scale(value.shape)
    near, off = _star.star((height, width), (row * height, column * width), reach, pixel)
    kept = power(near, exponent)
    kept *= 1 - np.float32(depth) * off
    return _star.whitened(value, np.minimum(kept, 1, out=kept))


def power(base: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """`base` ** `exponent`, at most 2 and in steps of 2**-24; base 0 or more, exponent 0 to 2."""
    made = np.empty_like(base)
    _power(base.view(np.int32), round(exponent * (1 << 16)), *tables(), made)
    return made


@lru_cache(maxsize=1)
def tables() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """4,096 logarithms to base 2 from 1 to 2 (20 bits) and as many powers of 2 from 0 to 1 (24 bits).

    Both are those of the middle of each step. No value comes within 1e-5 of where its rounding
    turns, far more than the C library errs.
    """
    middles = [(step + 0.5) / (1 << STEPS) for step in range(1 << STEPS)]
    logarithms = [round(math.log2(1 + middle) * (1 << PART)) for middle in middles]
    powers = [round(2.0**middle * (1 << 24)) for middle in middles]
    return np.array(logarithms, dtype=np.int32), np.array(powers, dtype=np.int32)


@compiled
def _power(
    bits: NDArray[np.int32],
    exponent: int,
    logarithms: NDArray[np.int32],
    powers: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Fill `out` (h, w); `bits` are those of the float32 bases."""
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            base = np.int64(bits[row, column])
            logarithm = (((base >> 23) - 127) << 20) + logarithms[(base >> 11) & 4095]
            product = (logarithm * exponent) >> 16
            whole = product >> 20
            if whole > 0 or whole < -24:
                out[row, column] = np.float32(2) if whole > 0 else np.float32(0)
            else:
                made = powers[(product >> 8) & 4095] >> -whole
                out[row, column] = np.float32(made) * np.float32(2.0**-24)
