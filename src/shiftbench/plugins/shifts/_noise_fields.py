"""Random fields of the weather: plasma fractal, normal field, Gaussian blur of it, ferns of ice.

Floats are float32 sums and products of single numbers only, which are the same on every CPU.
"""

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import NORMAL_BITS, RandomStream, normal_table
from shiftbench.plugins.shifts._levels import scale

NORMAL_ONE = 1 << 12  # normal values are 4,096ths and fit 16 bits
BLUR_ONE = 1 << 14  # so are weights, and blurred values


def lattice(shape: tuple[int, ...], how: str = "image") -> tuple[int, int, int]:
    """Number of pixels per point of a layer, and the layer's height and width in points.

    Layers are made for 224 to 447 points along the shorter side, or as many as there are pixels: where there are
    fewer, and where sizes are not scaled (`how`, see `_levels.SCALES`).
    """
    fine = max(1, int(scale(shape, how)))
    return fine, -(-shape[0] // fine), -(-shape[1] // fine)


def enlarged(layer: NDArray[np.uint8], fine: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A layer at the size of the image, linear between its points."""
    if fine == 1:
        return layer
    size = layer.shape[1] * fine, layer.shape[0] * fine
    whole = np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return np.ascontiguousarray(whole[: shape[0], : shape[1]])


def normal_field(height: int, width: int, rng: RandomStream) -> NDArray[np.int16]:
    """Normal values in 4,096ths, one per 16-bit word."""
    return np.take(normals(), rng.words16(height * width)).reshape(height, width)


@lru_cache(maxsize=1)
def normals() -> NDArray[np.int16]:
    """The normal quantiles in 4,096ths, index: 16-bit word."""
    one = (1 << NORMAL_BITS) // NORMAL_ONE
    return ((normal_table() + one // 2) // one).astype(np.int16)


@lru_cache(maxsize=64)
def gaussian(sigma: float) -> NDArray[np.int32]:
    """Weights at distances 0, 1, 2, ... to 4 sigma: 16,384ths that sum to one over both sides."""
    heights = [(-((Decimal(i) / Decimal(sigma)) ** 2) / 2).exp() for i in range(int(4 * sigma + 0.5) + 1)]
    total = heights[0] + 2 * sum(heights[1:])
    weights = [round(height * BLUR_ONE / total) for height in heights]
    weights[0] = BLUR_ONE - 2 * sum(weights[1:])
    return np.array(weights, dtype=np.int32)


def blurred(field: NDArray[np.int16], sigma: float) -> NDArray[np.int32]:
    """A field of 4,096ths, blurred, in 16,384ths; its edges are repeated."""
    weights = gaussian(sigma)
    between, result = (np.empty(field.shape, dtype=np.int32) for _ in range(2))
    _blur_columns(field, weights, between)
    _blur_rows(between, weights, result)
    return result


@compiled
def _blur_columns(field: NDArray[np.int16], weights: NDArray[np.int32], result: NDArray[np.int32]) -> None:
    """Fill `result` with the weighted sums down the columns: 2**26ths, rounded to 2**14ths."""
    height, width = field.shape
    total = np.empty(width, dtype=np.int32)
    for i in range(height):
        here = field[i]
        for j in range(width):
            total[j] = np.int32(np.int32(here[j]) * weights[0]) + np.int32(1 << 11)
        for k in range(1, len(weights)):
            weight, above, below = weights[k], field[max(i - k, 0)], field[min(i + k, height - 1)]
            for j in range(width):
                total[j] += np.int32(np.int32(np.int32(above[j]) + np.int32(below[j])) * weight)
        for j in range(width):
            result[i, j] = total[j] >> 12


@compiled
def _blur_rows(field: NDArray[np.int32], weights: NDArray[np.int32], result: NDArray[np.int32]) -> None:
    """Fill `result` with the weighted sums along the rows: 2**28ths, rounded to 2**14ths."""
    height, width = field.shape
    reach = len(weights) - 1
    row = np.empty(width + 2 * reach, dtype=np.int32)
    total = np.empty(width, dtype=np.int32)
    for i in range(height):
        row[:reach], row[reach + width :] = field[i, 0], field[i, width - 1]
        row[reach : reach + width] = field[i]
        for j in range(width):
            total[j] = np.int32(field[i, j] * weights[0]) + np.int32(1 << 13)
        for k in range(1, reach + 1):
            weight, left, right = weights[k], row[reach - k :], row[reach + k :]
            for j in range(width):
                total[j] += np.int32(np.int32(left[j] + right[j]) * weight)
        for j in range(width):
            result[i, j] = total[j] >> 14


def map_side(height: int, width: int) -> int:
    """The points per side of the map for an image: a power of two."""
    return 1 << (max(height, width) - 1).bit_length()


def reaches(side: int, decay: float) -> list[np.float32]:
    """Largest wobble of the new points of each round, from coarse to fine.

    The reach shrinks with the square of `decay`, as in the original.
    """
    reach, rounds = 100.0 * 100.0, []
    for _ in range(side.bit_length() - 1):
        rounds.append(np.float32(reach))
        reach /= decay * decay
    return rounds


def plasma(side: int, decay: float, rng: RandomStream) -> NDArray[np.float32]:
    """A height map float32 (side, side) around 0; `side` is a power of two.

    Each round halves the spacing of known points: a new point is the mean of its four neighbours
    (the map wraps around) plus a uniform wobble.
    """
    field = np.zeros((1, 1), dtype=np.float32)
    for reach in reaches(side, decay):
        finer = np.empty((2 * len(field), 2 * len(field)), dtype=np.float32)
        drawn = rng.words16(3 * field.size).reshape(3, *field.shape)
        _refine(field, drawn, reach / np.float32(32768), finer)
        field = finer
    return field


@compiled
def _refine(
    corners: NDArray[np.float32], drawn: NDArray[np.uint16], step: np.float32, finer: NDArray[np.float32]
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


def crystals(height: int, width: int, rng: RandomStream) -> NDArray[np.uint8]:
    """Ferns of ice, uint8 (height, width): stems at random, with branches at 60 degrees.

    Lengths are in pixels of a 224 px image. Takes four 16-bit words per stem: row, column, direction,
    length.
    """
    pixel = scale((height, width))
    drawn = rng.words16(4 * stem_count(height, width)).reshape(-1, 4).astype(np.int64)
    stems = np.empty_like(drawn)
    stems[:, 0], stems[:, 1] = drawn[:, 0] * height >> 8, drawn[:, 1] * width >> 8  # 256ths
    stems[:, 2] = drawn[:, 2] * DIRECTIONS >> 16
    shortest, spread = lengths(pixel)
    stems[:, 3] = (shortest + drawn[:, 3] * spread) >> 24
    light = stem_light(pixel)
    ice = np.zeros((height, width), dtype=np.uint16)
    _grow(stems, directions(), light, ice)
    shown: NDArray[np.uint8] = np.minimum(ice >> 8, 255).astype(np.uint8)
    return shown


def stem_count(height: int, width: int) -> int:
    """Number of stems: the same per area of the shorter side's square."""
    return min(round(STEMS * max(height, width) / min(height, width)), MOST_STEMS)


def lengths(pixel: float) -> tuple[int, int]:
    """The shortest length, in 2**24ths, and what one step of a 16-bit word adds."""
    return round(20 * pixel * 256) << 16, round(80 * pixel * 256)


def stem_light(pixel: float) -> int:
    """The light of a line in 256ths: of one that is thinner than a pixel less is seen."""
    return round(256 * min(1.0, pixel))


@lru_cache(maxsize=1)
def directions() -> NDArray[np.int64]:
    """Unit vectors (down, right) in 256ths of a pixel; none is near a half."""
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    return np.array([(round(256 * math.sin(a)), round(256 * math.cos(a))) for a in angles])


@compiled
def _grow(stems: NDArray[np.int64], directions: NDArray[np.int64], light: int, ice: NDArray[np.uint16]) -> None:
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
                        ice[v, u] = min(ice[v, u] + 70 * light * (reach + 1 - far) // (reach + 1), 65535)
