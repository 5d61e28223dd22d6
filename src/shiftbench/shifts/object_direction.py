"""Object direction: the object is turned about its middle, and the hole that it leaves is filled.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: image and mask of the object are
rotated; the angle is an argument of the release, an older line of it draws it from -45 to 45 degrees. Levels
are degrees; the sample draws to which side. Differs: the object stays whole: where it would reach out of
the picture it is moved inside, and made smaller where it is longer than the picture; `size` first makes it
smaller (see `object_position`). The hole is filled smoothly,
which shows where the background has texture (there by diffusion).

Bilinear, times alpha, in integers: edges become a little softer than the object's own, as at severity 0.01,
which is the control for that.

Takes one 16-bit word (to which side).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.shifts import _levels, _masks, _objects
from shiftbench.shifts._warp import warp

FIELD = None
LEVELS = {1: 9.0, 2: 18.0, 3: 27.0, 4: 36.0, 5: 45.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {"size": 0.0}
ONE = 1 << 16  # sine and cosine are whole numbers of 65,536ths
TO_256THS = 25  # bits from half pixels times ONE times ONE to 256ths of a pixel
HALF = 1 << (TO_256THS - 1)


def apply(value: Sample, severity: float, words: Words, *, size: float = 0.0) -> Sample:
    """Return a sample whose object is turned, image and mask.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
        severity: 0 to 5.
        words: the sample's random words.
        size: share of the picture that the object is made to take first; 0 leaves it as it is.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field is missing or of the wrong size, or the mask shows no object.
        ParamsError: `size` lies outside 0 to 1.
    """
    (angle,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    image, mask = _masks.fields(__name__, value)
    found = _objects.find(__name__, image, mask)
    layer = _objects.shrunk(__name__, found, _masks.rate(mask), size)
    if angle == 0:
        return _objects.unchanged(value)
    turned = _turned(layer, math.radians(angle if words.words16(1)[0] & 1 else -angle), mask.shape)
    top = _beside(found.box.top + found.box.bottom, turned.shape[0], mask.shape[0])
    left = _beside(found.box.left + found.box.right, turned.shape[1], mask.shape[1])
    return _objects.placed(value, found.background, turned, top, left)


def _beside(twice_middle: int, size: int, whole: int) -> int:
    """Return where a thing of `size` begins that has the given middle, or is as near as fits."""
    return min(max((twice_middle - size) // 2, 0), whole - size)


def _turned(layer: NDArray[np.uint8], angle: float, limit: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a layer turned by `angle` (radians, clockwise) and cropped to what is seen of it.

    It is made smaller where it would be larger than `limit`, rows and columns.
    """
    sine, cosine = (round(f(angle) * ONE) for f in (math.sin, math.cos))
    seen = layer[..., -1] >= min(_masks.VISIBLE, layer[..., -1].max())
    rows, columns = np.nonzero(seen)
    down, right = 2 * rows - layer.shape[0] + 1, 2 * columns - layer.shape[1] + 1  # half pixels
    spans = [_span(right * sine + down * cosine), _span(right * cosine - down * sine)]
    factor = min(1.0, *(whole / size for whole, (_, size) in zip(limit, spans, strict=True)))
    y, x = (
        _axis(middle, size, factor, whole)
        for whole, (middle, size) in zip(limit, spans, strict=True)
    )
    map_x = (x * cosine + y[:, None] * sine + HALF) >> TO_256THS
    map_y = (y[:, None] * cosine - x * sine + HALF) >> TO_256THS
    middle_y, middle_x = (128 * (side - 1) for side in layer.shape[:2])
    places = (map_x + middle_x).astype(np.int32), (map_y + middle_y).astype(np.int32)
    return warp(layer, *places, border="constant")


def _span(places: NDArray[np.int64]) -> tuple[int, float]:
    """Return the middle of some places (half pixels times ONE), and how many pixels they take."""
    low, high = int(places.min()), int(places.max())
    return (low + high) // 2, (high - low) / (2 * ONE) + 1


def _axis(middle: int, size: float, factor: float, whole: int) -> NDArray[np.int64]:
    """Return the places of the rows (or columns) of the result; one more on each side, for soft edges."""
    count = min(whole, math.ceil(size * factor) + 2)
    return (2 * np.arange(count, dtype=np.int64) - count + 1) * round(ONE / factor) + middle
