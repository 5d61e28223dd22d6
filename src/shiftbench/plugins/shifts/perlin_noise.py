"""Perlin noise: a bright, marbled haze (turbulence of five octaves) is laid over the image.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are the
haze's opacity, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption. The noise is that of Perlin 1985, "An image synthesizer",
with the polynomial 3 t**2 - 2 t**3: cells of 32 px at 224 px, each octave half as large and half as high.
Differs: 14-bit fixed point (0.1 grey levels from floats at most); rounded, not truncated.

Takes 512 16-bit words (two per gradient), then 256 raw words, to order them.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.23, 2: 0.26, 3: 0.29, 4: 0.38, 5: 0.44}
RANGE = _levels.RANGE
CELL = 32  # pixels of a 224 px image
OCTAVES = 5
LATTICE = 256  # points per side, then the lattice repeats
BITS = 14  # of the fixed point
ONE = 1 << BITS


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image behind haze, uint8 (h, w) or (h, w, 3)."""
    (opacity,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    height, width = value.shape[:2]
    slopes = gradients(rng.words16(2 * LATTICE))
    order = rng.choice(LATTICE).astype(np.int32)
    noise = np.zeros((height, width), dtype=np.int32)
    for octave in range(OCTAVES):
        rows, columns = (places(count, min(height, width), octave) for count in (height, width))
        _add_octave(slopes, order, rows, columns, octave, noise)
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    hazy = np.empty_like(clean)
    _haze(clean, noise, *shares(opacity), hazy)
    return hazy.reshape(value.shape)


def gradients(drawn: NDArray[np.uint16]) -> NDArray[np.int32]:
    """256 directions (down, right), int32 (2, 256) of length `ONE`: points of a square, normalised."""
    points = (drawn.reshape(LATTICE, 2).T >> 7).astype(np.float64) - 256
    length = np.sqrt(points[0] * points[0] + points[1] * points[1])
    made: NDArray[np.int32] = np.rint(points * ONE / np.maximum(length, 1)).astype(np.int32)
    return made


def places(count: int, side: int, octave: int) -> NDArray[np.int32]:
    """The cell of each row (column) on an octave's lattice, the place in it and its blend; int32 (3, count).

    A cell is 0 to 255; place and blend are 14-bit fixed point.
    """
    pixels = np.arange(count, dtype=np.int64) * (_levels.REFERENCE_SIDE * ONE)
    cell, place = np.divmod((pixels << octave) // (CELL * side), ONE)
    blend = ((place * place >> BITS) * (3 * ONE - 2 * place)) >> BITS
    return np.stack((cell % LATTICE, place, blend)).astype(np.int32)


def shares(opacity: float) -> tuple[int, int]:
    """The weights of the image and of white, in 65,536ths."""
    white = round(opacity * (1 << 16))
    return (1 << 16) - white, white * 255


@compiled
def _add_octave(
    slopes: NDArray[np.int32],
    order: NDArray[np.int32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    octave: int,
    noise: NDArray[np.int32],
) -> None:
    """Add an octave to `noise` (h, w). In one row a cell is a blend of two lines, which its sides give."""
    one = np.int32(1 << 14)
    slope = np.empty(258, dtype=np.int32)  # of the line at each point of the row's lattice
    start = np.empty(258, dtype=np.int32)
    points = np.max(columns[0]) + 2
    for row in range(noise.shape[0]):
        cell, above, mix = rows[:, row]
        upper, lower = order[cell], order[(cell + 1) & 255]
        for point in range(points):
            first, second = order[(upper + point) & 255], order[(lower + point) & 255]
            high, low = slopes[1, first], slopes[1, second]
            slope[point] = high + (((low - high) * mix) >> 14)
            high = (slopes[0, first] * above) >> 14
            low = (slopes[0, second] * (above - one)) >> 14
            start[point] = high + (((low - high) * mix) >> 14)
        for column in range(noise.shape[1]):
            point, place, blend = columns[0, column], columns[1, column], columns[2, column]
            left = np.int32(((slope[point] * place) >> 14) + start[point])
            right = np.int32((slope[point + 1] * np.int32(place - one)) >> 14) + start[point + 1]
            noise[row, column] += abs(np.int32(left + (((right - left) * blend) >> 14))) >> octave


@compiled
def _haze(clean: NDArray[np.uint8], noise: NDArray[np.int32], kept: int, white: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w, c)."""
    for row in range(clean.shape[0]):
        for column in range(clean.shape[1]):
            # 1.5 x turbulence, halved, on top of one half; at most 1
            haze = min(8192 + ((noise[row, column] * 3) >> 2), 16384)
            layer = ((haze * white) >> 14) + 32768
            for channel in range(clean.shape[2]):
                out[row, column, channel] = (clean[row, column, channel] * kept + layer) >> 16
