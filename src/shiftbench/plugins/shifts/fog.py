"""Fog: a plasma fractal is laid over the image, which is darkened to keep its brightest value.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (amount,
decay of the fractal's detail) from `make_imagenet_c.py`, the fractal is the diamond-square algorithm of
https://github.com/FLHerne/mapgen. Differs: the map is the power of two at or above the longer side (there
256 for all), so that any size works and fog has the same shapes relative to the image; one map for all
severities of a sample, of which only amount and detail change; rounded, not truncated.

Published level 4 has the amount of level 3 and more detail, which leaves the mean distance to the clean
image where it was: `profile: published` has the five levels only, `profile: continuous` has more amount
and less detail at levels 4 and 5.

Takes 16-bit words: one per map point but the first, in rounds from coarse to fine; each round takes
its squares, then its upper, then its left diamonds. Floats: float32 sums and products of single numbers
only, which are the same on every CPU; the map is laid over in integers.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts._noise_fields import map_side, plasma

FIELD = "image"
LEVELS = {1: (1.5, 2.0), 2: (2.0, 2.0), 3: (2.5, 1.7), 4: (2.5, 1.5), 5: (3.0, 1.4)}
LEVELS_CONTINUOUS = {**LEVELS, 4: (2.9, 1.6), 5: (3.3, 1.5)}
CLEAR = (0.0, 2.0)
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
ONE = 1 << 23  # a level in fixed point: 255 of them and a half fit 31 bits


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, profile: _levels.Profile = "published"
) -> NDArray[np.uint8]:
    """A foggy copy of an image, uint8 (h, w) or (h, w, 3)."""
    amount, decay = constants(severity, profile)
    brightest = int(value.max())
    if amount == 0 or brightest == 0:  # the brightest value is kept: black stays black
        return value.copy()
    height, width = value.shape[:2]
    field = plasma(map_side(height, width), decay, rng)
    lowest, rise, gain = shares(field.min(), field.max(), brightest, amount)
    image = np.ascontiguousarray(value).reshape(height, width, -1)
    foggy = np.empty_like(image)
    _lay_over(image, field, lowest, rise, gain, foggy)
    return foggy.reshape(value.shape)


def constants(severity: float, profile: str) -> tuple[float, ...]:
    """(amount, decay) of a profile at a severity."""
    if profile == "published":
        return _levels.published(__name__, LEVELS, severity, zero=CLEAR)
    if profile == "continuous":
        return _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=CLEAR)
    raise ParamsError(f"fog: profile is {profile!r}; allowed are published and continuous")


def shares(
    lowest: np.float32, highest: np.float32, brightest: int, amount: float
) -> tuple[np.float32, np.float32, np.int32]:
    """The map's lowest point, and what one unit of map and of image give in 2**23rds of a level."""
    gain = brightest / (brightest + 255 * amount) * ONE
    spread = float(highest - lowest) or 1.0
    return lowest, np.float32(255 * amount * gain / spread), np.int32(gain)


@compiled
def _lay_over(
    image: NDArray[np.uint8],
    field: NDArray[np.float32],
    lowest: np.float32,
    rise: np.float32,
    gain: np.int32,
    foggy: NDArray[np.uint8],
) -> None:
    """Fill `foggy` (h, w, 1 or 3): image x gain + (field - lowest) x rise, as 2**23rds of a level."""
    height, width, channels = image.shape
    half = np.int32(1 << 22)
    row = np.empty(width, dtype=np.int32)
    for i in range(height):
        for j in range(width):
            row[j] = np.int32((field[i, j] - lowest) * rise) + half
        if channels == 1:
            for j in range(width):
                foggy[i, j, 0] = np.uint8(np.int32(np.int32(image[i, j, 0]) * gain + row[j]) >> 23)
        else:  # three statements, which the compiler makes into vectors; a loop it would not
            for j in range(width):
                foggy[i, j, 0] = np.uint8(np.int32(np.int32(image[i, j, 0]) * gain + row[j]) >> 23)
                foggy[i, j, 1] = np.uint8(np.int32(np.int32(image[i, j, 1]) * gain + row[j]) >> 23)
                foggy[i, j, 2] = np.uint8(np.int32(np.int32(image[i, j, 2]) * gain + row[j]) >> 23)
