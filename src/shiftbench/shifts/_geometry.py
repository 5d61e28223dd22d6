"""What the geometric shifts share: their options, directions, and the places that an affine map reads.

Matrices are 65,536ths, places 256ths of a pixel: integers, the same on every machine. Sines come from
Python's math and are rounded; no angle of a 16-bit word, and none of a level, comes nearer to where that
rounding turns than the C library errs (tested).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import ParamsError
from shiftbench.rng import Words
from shiftbench.shifts import _warp

ONE = 1 << 16  # parts of a matrix entry
PARAMS: dict[str, object] = {"border": "reflect", "fill": 0}
BORDERS: dict[str, _warp.Border] = {
    "reflect": "reflect",
    "replicate": "replicate",
    "constant": "constant",
}
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


def sign(words: Words) -> int:
    """Return -1 or 1; takes one 16-bit word."""
    return -1 if words.uniform() < 0.5 else 1


def centred(size: int) -> NDArray[np.int64]:
    """Return twice the distance of each pixel of a side from the side's middle: whole numbers."""
    return 2 * np.arange(size, dtype=np.int64) - (size - 1)


def places(shape: tuple[int, ...], matrix: Matrix) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the columns and rows to read, int32 (h, w) in 256ths of a pixel.

    Args:
        shape: the image's.
        matrix: from (right, down) relative to the image's middle as it is shown, to where it is read,
            in 65,536ths.
    """
    height, width = shape[:2]
    across, down = centred(width), centred(height)[:, None]
    half = 1 << 8  # the products have 17 bits behind the point, places 8
    (xx, xy), (yx, yy) = matrix
    columns = ((xx * across + half) + xy * down) >> 9
    rows = ((yx * across + half) + yy * down) >> 9
    columns += (width - 1) * (_warp.ONE // 2)
    rows += (height - 1) * (_warp.ONE // 2)
    return columns.astype(np.int32), rows.astype(np.int32)


def affine(
    value: NDArray[np.uint8], matrix: Matrix, border: _warp.Border, fill: int
) -> NDArray[np.uint8]:
    """Return an image read through `matrix` about its middle; the inverse of what happens to it."""
    return _warp.warp(value, *places(value.shape, matrix), border, fill)
