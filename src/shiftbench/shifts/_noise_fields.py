"""Random fields of the weather: the plasma fractal, and ferns of ice.

Floats are float32 sums and products of single numbers only, which are the same on every CPU.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.rng import Words
from shiftbench.shifts._compiled import compiled


def map_side(height: int, width: int) -> int:
    """Return the points per side of the map for an image: a power of two."""
    return 1 << (max(height, width) - 1).bit_length()


def reaches(side: int, decay: float) -> list[np.float32]:
    """Return how far the new points of each round wobble, from coarse to fine.

    The reach shrinks with the square of `decay`, as in the original.
    """
    reach, rounds = 100.0 * 100.0, []
    for _ in range(side.bit_length() - 1):
        rounds.append(np.float32(reach))
        reach /= decay * decay
    return rounds


def plasma(side: int, decay: float, words: Words) -> NDArray[np.float32]:
    """Return a height map float32 (side, side) around 0; `side` is a power of two.

    Each round halves the spacing of known points: a new point is the mean of its four neighbours
    (the map wraps around) plus a uniform wobble.
    """
    field = np.zeros((1, 1), dtype=np.float32)
    for reach in reaches(side, decay):
        finer = np.empty((2 * len(field), 2 * len(field)), dtype=np.float32)
        drawn = words.words16(3 * field.size).reshape(3, *field.shape)
        _refine(field, drawn, reach / np.float32(32768), finer)
        field = finer
    return field


@compiled
def _refine(
    corners: NDArray[np.float32],
    drawn: NDArray[np.uint16],
    step: np.float32,
    finer: NDArray[np.float32],
) -> None:
    """Fill a map of twice the points per side; a word wobbles by (word - 32767.5) x step."""
    side = len(corners)
    quarter, middle = np.float32(0.25), np.float32(32767.5)
    here, below = np.empty(side + 1, np.float32), np.empty(side + 1, np.float32)
    above, centres = np.empty(side + 1, np.float32), np.empty(side + 1, np.float32)
    fresh = np.empty(side, np.float32)
    for turn in range(-1, side):  # the last row's centres are above the first row
        i = turn if turn >= 0 else side - 1
        under = i + 1 if i + 1 < side else 0
        here[:side], here[side] = corners[i], corners[i, 0]
        below[:side], below[side] = corners[under], corners[under, 0]
        above[:] = centres
        inner, upper, left = drawn[0, i], drawn[1, i], drawn[2, i]
        for j in range(side):
            wobble = (np.float32(np.int32(inner[j])) - middle) * step
            square = (here[j] + below[j]) + (here[j + 1] + below[j + 1])
            centres[j + 1] = square * quarter + wobble
        centres[0] = centres[side]
        if turn < 0:
            continue
        top, bottom = finer[2 * i], finer[2 * i + 1]
        for j in range(side):
            wobble = (np.float32(np.int32(upper[j])) - middle) * step
            diamond = (centres[j + 1] + above[j + 1]) + (here[j] + here[j + 1])
            fresh[j] = diamond * quarter + wobble
        for j in range(side):
            top[2 * j], top[2 * j + 1] = here[j], fresh[j]
        for j in range(side):
            wobble = (np.float32(np.int32(left[j])) - middle) * step
            diamond = (centres[j + 1] + centres[j]) + (here[j] + below[j])
            fresh[j] = diamond * quarter + wobble
        for j in range(side):
            bottom[2 * j], bottom[2 * j + 1] = fresh[j], centres[j + 1]


DIRECTIONS = 96  # of 3.75 degrees; 16 of them are the 60 degrees at which ice branches
STEMS = 200  # on 224 x 224 px
MOST_STEMS = 4096


def crystals(height: int, width: int, words: Words) -> NDArray[np.uint8]:
    """Return ferns of ice, uint8 (height, width): stems at random, with branches at 60 degrees.

    Lengths are in pixels of a 224 px picture. Takes four 16-bit words per stem (row, column, direction,
    length); each lies in its own raw word.
    """
    pixel = min(height, width) / 224
    count = min(round(STEMS * (height / pixel / 224) * (width / pixel / 224)), MOST_STEMS)
    drawn = words.words16(4 * count).reshape(count, 4).astype(np.int64)
    stems = np.empty((count, 4), dtype=np.int64)
    stems[:, 0], stems[:, 1] = drawn[:, 0] * height >> 8, drawn[:, 1] * width >> 8  # 256ths
    stems[:, 2] = drawn[:, 2] * DIRECTIONS >> 16
    stems[:, 3] = (round(20 * pixel * 256) * 65536 + drawn[:, 3] * round(80 * pixel * 256)) >> 24
    light = round(256 * min(1.0, pixel))  # of thinner lines less is seen
    ice = np.zeros((height, width), dtype=np.uint16)
    _grow(stems, _directions(), light, ice)
    shown: NDArray[np.uint8] = np.minimum(ice >> 8, 255).astype(np.uint8)
    return shown


@lru_cache(maxsize=1)
def _directions() -> NDArray[np.int64]:
    """Return unit vectors (down, right) in 256ths of a pixel; none is near a half."""
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    return np.array([(round(256 * math.sin(a)), round(256 * math.cos(a))) for a in angles])


@compiled
def _grow(
    stems: NDArray[np.int64], directions: NDArray[np.int64], light: int, ice: NDArray[np.uint16]
) -> None:
    """Add each stem and its branches to `ice`, in 256ths of a grey level."""
    height, width = ice.shape
    for stem in range(len(stems)):
        down, right, way, length = stems[stem]
        for step in range(length + 1):
            y = (down + step * directions[way, 0]) >> 8
            x = (right + step * directions[way, 1]) >> 8
            if 0 <= y < height and 0 <= x < width:
                ice[y, x] = min(ice[y, x] + 100 * light, 65535)
            if step % 3:  # a branch to either side at each third pixel
                continue
            reach = (length - step) * 2 // 5
            for side in (-16, 16):
                turn = (way + side + 96) % 96
                for far in range(1, reach + 1):
                    v = (down + step * directions[way, 0] + far * directions[turn, 0]) >> 8
                    u = (right + step * directions[way, 1] + far * directions[turn, 1]) >> 8
                    if 0 <= v < height and 0 <= u < width:
                        ice[v, u] = min(
                            ice[v, u] + 70 * light * (reach + 1 - far) // (reach + 1), 65535
                        )
