"""Perspective: the image is tilted in space, about a line through its middle.

Source: the `tilt` of ImageNet-P (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261;
`make_imagenet_p.py`): the image as a plane at a distance of its own diagonal from a pinhole, turned by up
to 15 degrees about both axes, 21 together. Levels are degrees: steps of 7 (ours), so that level 3 is that
limit. Differs: about one line, whose direction is drawn from the circle; bilinear in integers; outside of
the image lies its mirror image (`border: constant` fills with `fill`).

Takes one 16-bit word (the direction). Floats: float64 sums, products and quotients of single numbers.
"""

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels, _warp

FIELD = "image"
MOVES = True
LEVELS = {1: 7.0, 2: 14.0, 3: 21.0, 4: 28.0, 5: 35.0}
RANGE = _levels.RANGE
PARAMS = _geometry.PARAMS
FINE = 1 << 28  # parts of a sine: a point of an image of 65,536 px is off by 1/4,000 px at most


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "reflect", fill: int = 0
) -> NDArray[np.uint8]:
    """Return a tilted copy of an image, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: the sample's random stream.
        border: what lies outside: `reflect`, `replicate` or `constant`.
        fill: grey level of what lies outside under `constant`.

    Raises:
        RangeError: severity outside 0 to 5.
        ParamsError: an option outside what is allowed.
    """
    (degrees,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    outside = _geometry.checked(__name__, border, fill)
    read = places(value.shape, degrees, 360 * float(rng.uniform()))
    return _warp.warp(value, *read, outside, fill)


def places(shape: tuple[int, ...], degrees: float, direction: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the columns and rows to read, int32 (h, w) in 256ths of a pixel.

    With the tilt t about a line, a point at s along it and p across it is shown at (s, p cos t) x
    f / (f + p sin t), f the diagonal. Turned round: what is shown at (s', p') is read at (s' cos t, p') /
    (cos t - p' sin t / f). The divisor is positive below 63 degrees.
    """
    columns, rows = np.empty((2, *shape[:2]), dtype=np.int32)
    height, width = shape[:2]
    cosine, sine = (part / FINE for part in _geometry.unit(degrees, FINE))
    fall = sine / math.sqrt(width * width + height * height)
    _fill(columns, rows, _geometry.unit(direction, FINE), cosine, fall)
    return columns, rows


@compiled
def _fill(
    columns: NDArray[np.int32], rows: NDArray[np.int32], unit: tuple[int, int], cosine: float, fall: float
) -> None:
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
