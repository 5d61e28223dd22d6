"""What the geometric shifts share: their options, directions, and the places that an affine map reads.

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
DEGREES = (0.0, 180.0)  # of turns whose severity is the angle
PARAMS: dict[str, object] = {"border": "reflect", "fill": 0}
BORDERS: dict[str, _warp.Border] = {"reflect": "reflect", "replicate": "replicate", "constant": "constant"}
Matrix = tuple[tuple[int, int], tuple[int, int]]


def checked(name: str, border: str, fill: int) -> _warp.Border:
    """Return a border that is known; refuse options outside what is allowed.

    Raises:
        ParamsError: an unknown border, or a fill that is no grey level.
    """
    shift = name.rpartition(".")[2]
    if border not in BORDERS:
        raise ParamsError(f"{shift}: border is {border!r}; allowed are {', '.join(BORDERS)}")
    if not 0 <= fill <= 255:
        raise ParamsError(f"{shift}: fill is {fill}; allowed are 0 to 255")
    return BORDERS[border]


def unit(degrees: float, one: int = ONE) -> tuple[int, int]:
    """Return cosine and sine of an angle in whole parts of 1, of which there are `one`.

    Example:
        >>> unit(30.0)
        (56756, 32768)
    """
    angle = math.radians(degrees)
    return round(math.cos(angle) * one), round(math.sin(angle) * one)


def sign(rng: RandomStream) -> int:
    """Return -1 or 1; takes one 16-bit word."""
    return -1 if rng.uniform() < 0.5 else 1


def places(shape: tuple[int, ...], matrix: Matrix) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the columns and rows to read, int32 (h, w) in 256ths of a pixel.

    Args:
        shape: the image's.
        matrix: from (right, down) relative to the image's middle as it is shown, to where it is read,
            in 65,536ths.
    """
    columns, rows = np.empty((2, *shape[:2]), dtype=np.int32)
    _fill(columns, rows, matrix)
    return columns, rows


@compiled
def _fill(columns: NDArray[np.int32], rows: NDArray[np.int32], matrix: Matrix) -> None:
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


def affine(value: NDArray[np.uint8], matrix: Matrix, border: _warp.Border, fill: int) -> NDArray[np.uint8]:
    """Return an image read through `matrix` about its middle; the inverse of what happens to it."""
    return _warp.warp(value, *places(value.shape, matrix), border, fill)
