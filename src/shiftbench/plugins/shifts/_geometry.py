"""Helpers of the geometric shifts: checks of options, directions, and the places that an affine map reads.

Matrices are 65,536ths, places 256ths of a pixel: integers, the same on every machine. Sines come from
Python's math and are rounded; no angle of a 16-bit word, and none of a level, comes nearer to where that
rounding turns than the C library errs (tested).
"""

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _warp

ONE = 1 << 16  # parts of a matrix entry
FINE = 1 << 28  # parts of a sine: a point of an image of 65,536 px is off by 1/4,000 px at most
DEGREES = (0.0, 180.0)  # of turns whose severity is the angle
BORDERS: dict[str, _warp.Border] = {"reflect": "reflect", "replicate": "replicate", "constant": "constant"}
Pixels = NDArray[np.uint8]
Places = NDArray[np.int32]
Matrix = tuple[tuple[int, int], tuple[int, int]]


def checked(border: str, fill: int) -> _warp.Border:
    """The border, if it and the fill are allowed.

    Raises:
        ParamsError: an unknown border, or a fill that is no grey level.
    """
    if border not in BORDERS:
        raise ParamsError(f"border is {border!r}; allowed are {', '.join(BORDERS)}")
    if not 0 <= fill <= 255:
        raise ParamsError(f"fill is {fill}; allowed are 0 to 255")
    return BORDERS[border]


def unit(degrees: float, one: int = ONE) -> tuple[int, int]:
    """Cosine and sine of an angle in whole parts of 1, of which there are `one`.

    Example:
        >>> unit(30.0)
        (56756, 32768)
    """
    angle = math.radians(degrees)
    return round(math.cos(angle) * one), round(math.sin(angle) * one)


def sign(rng: RandomStream) -> int:
    """-1 or 1 at random; takes one 16-bit word."""
    return -1 if rng.uniform() < 0.5 else 1


def rotation(degrees: float, sign: int) -> Matrix:
    """Matrix of where a turned image is read, in 65,536ths; sign 1 turns to the left."""
    cosine, sine = unit(degrees)
    return (cosine, -sign * sine), (sign * sine, cosine)


def places(shape: tuple[int, ...], matrix: Matrix) -> tuple[Places, Places]:
    """Columns and rows to read, int32 (h, w) in 256ths of a pixel.

    Args:
        shape: the image's.
        matrix: from (right, down) relative to the image's middle as it is shown, to where it is read,
            in 65,536ths.
    """
    columns, rows = np.empty((2, *shape[:2]), dtype=np.int32)
    _fill(columns, rows, matrix)
    return columns, rows


@compiled
def _fill(columns: Places, rows: Places, matrix: Matrix) -> None:
    """Fill `columns` and `rows` (h, w) with places in 256ths, rounded, halves up."""
    height, width = columns.shape
    (xx, xy), (yx, yy) = matrix
    for row in range(height):
        down = 2 * row - (height - 1)  # twice the way from the middle: whole numbers
        for column in range(width):
            across = 2 * column - (width - 1)
            x = (xx * across + xy * down + 256) >> 9  # of 17 bits behind the point 8 stay
            y = (yx * across + yy * down + 256) >> 9
            columns[row, column] = x + (width - 1) * 128
            rows[row, column] = y + (height - 1) * 128


def tilted_places(shape: tuple[int, ...], degrees: float, direction: float) -> tuple[Places, Places]:
    """Columns and rows to read of an image that is tilted about a line, int32 (h, w) in 256ths of a pixel.

    With the tilt t about a line, a point at s along it and p across it is shown at (s, p cos t) x
    f / (f + p sin t), f the diagonal. Turned round: what is shown at (s', p') is read at (s' cos t, p') /
    (cos t - p' sin t / f). The divisor is positive below 63 degrees.
    """
    columns, rows = np.empty((2, *shape[:2]), dtype=np.int32)
    height, width = shape[:2]
    cosine, sine = (part / FINE for part in unit(degrees, FINE))
    fall = sine / math.sqrt(width * width + height * height)
    _fill_tilted(columns, rows, unit(direction, FINE), cosine, fall)
    return columns, rows


@compiled
def _fill_tilted(columns: Places, rows: Places, unit: tuple[int, int], cosine: float, fall: float) -> None:
    """Fill `columns` and `rows` (h, w) with places in 256ths of a pixel, rounded half to even."""
    height, width = columns.shape
    x, y = unit[0] / 268435456, unit[1] / 268435456
    for row in range(height):
        down = row - (height - 1) / 2
        for column in range(width):
            right = column - (width - 1) / 2
            along, off = x * right + y * down, x * down - y * right
            nearness = cosine - off * fall
            along = along * cosine / nearness
            off = off / nearness
            columns[row, column] = np.rint((along * x - off * y + (width - 1) / 2) * 256)
            rows[row, column] = np.rint((along * y + off * x + (height - 1) / 2) * 256)


def affine(value: Pixels, matrix: Matrix, border: str, fill: int) -> Pixels:
    """An image read through `matrix` about its middle; the inverse of what happens to it."""
    return read(value, *places(value.shape, matrix), border, fill)


def read(value: Pixels, columns: Places, rows: Places, border: str, fill: int) -> Pixels:
    """An image read at columns and rows, int32 (h, w) in 256ths of a pixel.

    Raises:
        ParamsError: as `checked`.
    """
    return _warp.warp(value, columns, rows, checked(border, fill), fill)
