"""Colour transfer: the image takes over the mean and the spread of a reference's colours.

Source: Reinhard et al. 2001, "Color transfer between images", IEEE Computer Graphics and Applications
21(5), https://doi.org/10.1109/38.946629: equations 4 to 6 (logarithms of LMS, decorrelated) and 10 to 11
(mean and standard deviation of each axis). Levels are how much of the way is gone, along these axes; at
level 5 the statistics are the reference's. Differs: one grey level is added before the logarithm (there
undefined at black); the way back inverts equation 4 exactly (the printed inverse has 4 decimals); a spread
grows at most fourfold, so that a flat image gets no colour noise. A grey image is done as a coloured one,
of which the luma is returned.

The default reference is the photograph `flower.jpg` that scikit-learn ships (by dany13, CC BY 2.0);
`statistics` makes one of any image. In integers: logarithms have 13 fractional bits, from tables.
Takes no random words.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts.greyscale import LUMA

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE

Reference = Annotated[
    Sequence[float] | None,
    Field(
        min_length=6,
        max_length=6,
        description="means of l, alpha, beta, then their standard deviations; null: of a photo of a flower",
    ),
]
FLOWER = (9.8236, 0.0649, -0.1298, 1.6849, 0.5975, 0.175)  # l, alpha, beta: means, then spreads
STRETCH = 4.0  # at most, of a spread
LOG_BITS = 13  # fractional bits of a logarithm (to base 2)
GAIN_BITS = 16
TOP = (9 << LOG_BITS) - 1  # of a logarithm: half of white's 511 grey levels
TO_LMS = ((24976, 37899, 2635), (12891, 47474, 5125), (1579, 8441, 55339))  # 65,536ths
TO_RGB = ((73214, -58795, 1959), (-19984, 39044, -2664), (959, -4278, 19753))  # 16,384ths
LMS_TOP = (65510 * 255 + 128) >> 8  # the largest LMS value, in 256ths of a grey level
LENGTHS = np.array((math.sqrt(3), math.sqrt(6), math.sqrt(2))) * (1 << LOG_BITS)  # of our axes


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, reference: Reference = None
) -> NDArray[np.uint8]:
    """A copy of an image in other colours, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    target = checked(reference)
    if share == 0:  # there and back again is not quite the identity
        return value.copy()
    coloured = value if value.ndim == 3 else np.repeat(value[..., None], 3, axis=2)
    pixels = np.ascontiguousarray(coloured).reshape(-1, 3)
    logs, sums = _measured(pixels)
    gains, offsets = change(sums / len(pixels), target, share)
    changed = np.empty_like(pixels)
    _from_logs(logs, gains, offsets, levels_table(), changed)
    if value.ndim == 2:
        return ((changed @ LUMA + (1 << 15)) >> 16).astype(np.uint8).reshape(value.shape)
    return changed.reshape(value.shape)


def statistics(image: NDArray[np.uint8]) -> tuple[float, ...]:
    """An image's (h, w, 3) means of l, alpha and beta and their standard deviations, in octaves.

    Example:
        >>> grey = np.full((2, 2, 3), 127, dtype=np.uint8)
        >>> [round(number, 1) for number in statistics(grey)]
        [12.1, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    pixels = np.ascontiguousarray(image).reshape(-1, 3)
    means, spreads = _moments(_measured(pixels)[1] / len(pixels))
    return tuple((np.concatenate((means, spreads)) / np.tile(LENGTHS, 2)).tolist())


def checked(reference: Sequence[float] | None) -> NDArray[np.float64]:
    """The reference's means and spreads in the units of our axes, float64 (2, 3)."""
    numbers = FLOWER if reference is None else reference
    try:
        array = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (6,) or not (np.abs(array) <= 16).all() or array[3:].min() < 0:
        raise ParamsError(
            f"colour_transfer: reference is {reference!r}; give six numbers, means of l, alpha and beta and their "
            "standard deviations (`shiftbench.plugins.shifts.colour_transfer.statistics` of an image)"
        )
    scaled: NDArray[np.float64] = array.reshape(2, 3) * LENGTHS
    return scaled


def change(
    moments: NDArray[np.float64], target: NDArray[np.float64], share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(gains, offsets) of the three axes, int64 (3,) in 65,536ths.

    Args:
        moments: means of the axes, then of their squares.
        target: means and spreads of the reference.
        share: of the way to it.
    """
    means, spreads = _moments(moments)
    ratios = np.minimum(target[1] / np.maximum(spreads, 1.0), STRETCH)
    gains = 1 + share * (ratios - 1)
    offsets = means + share * (target[0] - means) - means * gains
    one = 1 << GAIN_BITS
    return np.rint(gains * one).astype(np.int64), np.rint(offsets * one).astype(np.int64)


def _moments(moments: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    means = moments[:3]
    return means, np.sqrt(np.maximum(moments[3:] - means * means, 0.0))


def _measured(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Logarithms of LMS (n, 3), and the sums of the axes and of their squares, (6,)."""
    logs = np.empty(pixels.shape, dtype=np.uint16)
    sums = np.zeros(6, dtype=np.int64)
    _to_logs(pixels, logs_table(), logs, sums)
    return logs, sums


@lru_cache(maxsize=1)
def logs_table() -> NDArray[np.uint16]:
    """Log2(1 + x) of x = 0 to 255 grey levels in 256ths, in 8,192ths.

    No entry lies nearer to where its rounding turns than 1e-6, far more than the C library errs.
    """
    one = 1 << LOG_BITS
    exact = (one * math.log2(1 + x / 256) for x in range(LMS_TOP + 1))
    return np.array([round(number) for number in exact], dtype=np.uint16)


@lru_cache(maxsize=1)
def levels_table() -> NDArray[np.int32]:
    """The inverse of `logs_table`, 0 to 511 grey levels in 256ths; rounded as safely."""
    one = 1 << LOG_BITS
    return np.array([round(256 * (2 ** (y / one) - 1)) for y in range(TOP + 1)], dtype=np.int32)


@compiled
def _to_logs(
    pixels: NDArray[np.uint8], table: NDArray[np.uint16], logs: NDArray[np.uint16], sums: NDArray[np.int64]
) -> None:
    for i in range(len(pixels)):
        red, green, blue = np.int64(pixels[i, 0]), np.int64(pixels[i, 1]), np.int64(pixels[i, 2])
        first = np.int64(table[(24976 * red + 37899 * green + 2635 * blue + 128) >> 8])
        second = np.int64(table[(12891 * red + 47474 * green + 5125 * blue + 128) >> 8])
        third = np.int64(table[(1579 * red + 8441 * green + 55339 * blue + 128) >> 8])
        logs[i, 0], logs[i, 1], logs[i, 2] = first, second, third
        bright, yellow, reddish = first + second + third, first + second - 2 * third, first - second
        sums[0] += bright
        sums[1] += yellow
        sums[2] += reddish
        sums[3] += bright * bright
        sums[4] += yellow * yellow
        sums[5] += reddish * reddish


@compiled
def _from_logs(
    logs: NDArray[np.uint16],
    gains: NDArray[np.int64],
    offsets: NDArray[np.int64],
    table: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> None:
    sixth, last = 6 << 16, len(table) - 1
    for i in range(len(logs)):
        first, second, third = np.int64(logs[i, 0]), np.int64(logs[i, 1]), np.int64(logs[i, 2])
        bright = 2 * ((first + second + third) * gains[0] + offsets[0]) + sixth // 2
        yellow = (first + second - 2 * third) * gains[1] + offsets[1]
        reddish = 3 * ((first - second) * gains[2] + offsets[2])
        long = table[min(max(bright + yellow + reddish, 0) // sixth, last)]
        middle = table[min(max(bright + yellow - reddish, 0) // sixth, last)]
        short = table[min(max(bright - 2 * yellow, 0) // sixth, last)]
        red = (73214 * long - 58795 * middle + 1959 * short + (1 << 21)) >> 22
        green = (-19984 * long + 39044 * middle - 2664 * short + (1 << 21)) >> 22
        blue = (959 * long - 4278 * middle + 19753 * short + (1 << 21)) >> 22
        out[i, 0] = min(max(red, 0), 255)
        out[i, 1] = min(max(green, 0), 255)
        out[i, 2] = min(max(blue, 0), 255)
