"""Layers that are turned about their middle: bilinear, times alpha, in integers."""

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.shifts import _masks
from shiftbench.plugins.shifts._warp import warp

ONE = 1 << 16  # sine and cosine are whole numbers of 65,536ths
TO_256THS = 25  # bits from half pixels times ONE times ONE to 256ths of a pixel
HALF = 1 << (TO_256THS - 1)


def beside(box: _masks.Box, layer: NDArray[np.uint8], whole: tuple[int, ...]) -> tuple[int, int]:
    """First (row, column) of a layer centred on the middle of a box, or as near as fits in `whole`."""
    middles = (box.top + box.bottom, box.left + box.right)
    top, left = (
        min(max((middle - size) // 2, 0), side - size)
        for middle, size, side in zip(middles, layer.shape, whole, strict=False)
    )
    return top, left


def turned(layer: NDArray[np.uint8], angle: float, limit: tuple[int, ...]) -> NDArray[np.uint8]:
    """A layer turned by `angle` (radians, clockwise) and cropped to what is seen of it.

    It is made smaller where it would be larger than `limit`, rows and columns.
    """
    sine, cosine = (round(f(angle) * ONE) for f in (math.sin, math.cos))
    seen = layer[..., -1] >= min(_masks.VISIBLE, layer[..., -1].max())
    rows, columns = np.nonzero(seen)
    down, right = 2 * rows - layer.shape[0] + 1, 2 * columns - layer.shape[1] + 1  # half pixels
    spans = [_span(right * sine + down * cosine), _span(right * cosine - down * sine)]
    factor = min(1.0, *(whole / size for whole, (_, size) in zip(limit, spans, strict=True)))
    y, x = (_axis(middle, size, factor, whole) for whole, (middle, size) in zip(limit, spans, strict=True))
    map_x = (x * cosine + y[:, None] * sine + HALF) >> TO_256THS
    map_y = (y[:, None] * cosine - x * sine + HALF) >> TO_256THS
    middle_y, middle_x = (128 * (side - 1) for side in layer.shape[:2])
    places = (map_x + middle_x).astype(np.int32), (map_y + middle_y).astype(np.int32)
    return warp(layer, *places, border="constant")


def _span(places: NDArray[np.int64]) -> tuple[int, float]:
    """The middle of some places (half pixels times ONE), and how many pixels they take."""
    low, high = int(places.min()), int(places.max())
    return (low + high) // 2, (high - low) / (2 * ONE) + 1


def _axis(middle: int, size: float, factor: float, whole: int) -> NDArray[np.int64]:
    """The places of the rows (or columns) of the result; one more on each side, for soft edges."""
    count = min(whole, math.ceil(size * factor) + 2)
    return (2 * np.arange(count, dtype=np.int64) - count + 1) * round(ONE / factor) + middle
