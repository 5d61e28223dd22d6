"""Brownish noise: large soft blotches with finer and finer ones on them, in each channel its own, are added.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are the noise's
standard deviation relative to 64 grey levels, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption: amplitudes are 1 / (frequency**2 + 1), frequencies in
cycles per image. Kept as there: phases are shared by opposite frequencies but one step apart, so that the noise is
strongest in the corners and in the middle and fades towards the middle of each border; and the mean is free.
Differs: the field has the power of two at or above the longer side as its points, 16 to 256, over which the image
is laid, bilinear; phases have 8,192 steps; rounded, not truncated.

Takes 16-bit words: half of the field's points, for each channel.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _spectra

FIELD = "image"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
FULL = 64  # grey levels
SMALLEST, LARGEST = 16, 256
BITS = 12  # of the field's fraction


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with blotches, uint8 (h, w) or (h, w, 3)."""
    (deviation,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    height, width = value.shape[:2]
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    side = points(max(height, width))
    field = blotches(rng.words16(clean.shape[2] * side * side // 2), side)
    gains = np.array([gain(layer, deviation * FULL) for layer in field], dtype=np.float32)
    spotted = np.empty_like(clean)
    rows, columns = (places(count, max(height, width), side) for count in (height, width))
    _add(clean, field, gains, rows, columns, spotted)
    return spotted.reshape(value.shape)


def points(side: int) -> int:
    """The field's points per side for a longer side of the image."""
    return min(max(1 << (side - 1).bit_length(), SMALLEST), LARGEST)


def blotches(drawn: NDArray[np.uint16], side: int) -> NDArray[np.float32]:
    """Fields float32 (channels, side, side) of the phases in half of the points, c * side * side / 2."""
    half = drawn.reshape(-1, side, side // 2)
    phases = np.concatenate((half, half[:, ::-1, ::-1]), axis=2)
    return _spectra.fields(amplitudes(side), phases)


@lru_cache(maxsize=8)
def amplitudes(side: int) -> NDArray[np.float32]:
    """1 / (frequency**2 + 1), float32 (side, side), frequency 0 at (side / 2, side / 2)."""
    frequency = np.arange(side) - side // 2
    squares = frequency * frequency
    made = np.float32(1) / (squares[:, None] + squares + 1).astype(np.float32)
    made.flags.writeable = False
    return made


def gain(layer: NDArray[np.float32], deviation: float) -> float:
    """The factor that gives a field this standard deviation; from sums of integers, which are exact."""
    whole = np.rint(layer * np.float32(1 << BITS)).astype(np.int64)
    count, total, squares = whole.size, int(whole.sum()), int((whole * whole).sum())
    variance = count * squares - total * total
    return deviation * (1 << BITS) * count / math.sqrt(variance) if variance else 0.0


def places(count: int, longer: int, side: int) -> NDArray[np.int32]:
    """Position of each row (column) on the field, int32 in 256ths of a point."""
    return (np.arange(count, dtype=np.int64) * side * 256 // longer).astype(np.int32)


@compiled
def _add(
    clean: NDArray[np.uint8],
    field: NDArray[np.float32],
    gains: NDArray[np.float32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> None:
    """Fill `out` (h, w, c) with `clean` plus the fields (c, side, side)."""
    height, width, channels = clean.shape
    side = field.shape[1]
    part, half = np.float32(1 / 256), np.float32(0.5)
    across = np.empty(side + 1, dtype=np.float32)
    for row in range(height):
        top, below = rows[row] >> 8, np.float32(rows[row] & 255) * part
        for channel in range(channels):
            above, under = field[channel, top], field[channel, (top + 1) & (side - 1)]
            for point in range(side):
                across[point] = (above[point] + below * (under[point] - above[point])) * gains[channel]
            across[side] = across[0]
            for column in range(width):
                left, right = columns[column] >> 8, np.float32(columns[column] & 255) * part
                noise = across[left] + right * (across[left + 1] - across[left])
                grey = clean[row, column, channel] + int(np.floor(noise + half))
                out[row, column, channel] = min(max(grey, 0), 255)
