"""Zoom blur: the mean of the image and of enlarged copies of it, as when the camera moves towards it.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (step, count)
of the zooms 1, 1 + step, 1 + 2 x step, ... from `make_imagenet_c.py` (its ranges of floats reach 1.11,
1.15, 1.20, 1.24 and 1.30). A zoom crops to ceil(side / zoom) pixels in the middle and enlarges them,
corners on corners, as `scipy.ndimage.zoom` of order 1 does. Differs: both sides are cropped each to its own
length, so that images of any shape work (there a square of the height); places are 16ths of a pixel, so
that all arithmetic is in integers; rounded, not truncated. Between two levels the reach (the largest
zoom) grows evenly, and the images of both levels' zooms, spread over that reach, are mixed.

Takes no random words.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: (0.01, 12.0), 2: (0.01, 16.0), 3: (0.02, 11.0), 4: (0.02, 13.0), 5: (0.03, 11.0)}
RANGE = _levels.RANGE
ONE = 16  # parts of a pixel


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A blurred copy of an image, uint8 (h, w) or (h, w, 3)."""
    _levels.check(__name__, severity)
    height, width = value.shape[:2]
    sets = zooms(severity)
    packed = _packed(np.ascontiguousarray(value).reshape(height, width, -1))
    owners = np.repeat(np.arange(len(sets)), [len(zoomed) for _, zoomed in sets])
    blurred = np.empty((height, width, math.prod(value.shape[2:])), dtype=np.uint8)
    _zoom(packed, places(height, sets), places(width, sets), owners, shares(sets), blurred)
    return blurred.reshape(value.shape)


def zooms(severity: float) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """The zooms above 1 as (share, zooms), of the level below and of that above.

    Both are spread over the same reach, which grows evenly with severity.
    """
    level = min(int(severity), 4)
    (reach,) = _levels.at(__name__, {n: _published(n)[-1] - 1 for n in LEVELS}, severity, zero=0.0)
    part = severity - level if level else 1.0
    return tuple(
        (share, tuple(1 + (zoom - 1) * (reach / (_published(n)[-1] - 1)) for zoom in _published(n)))
        for share, n in ((1 - part, level), (part, level + 1))
        if share
    )


def _published(level: int) -> tuple[float, ...]:
    """The zooms of a level without the 1 that is the first; floats as `np.arange` makes them."""
    step, count = LEVELS[level]
    return tuple(1 + k * ((1 + step) - 1) for k in range(1, int(count)))


def shares(sets: tuple[tuple[float, tuple[float, ...]], ...]) -> NDArray[np.uint64]:
    """The weights of the image and of a zoom of either set; with each zoom's they sum to 2**24.

    The published mean has the image twice: as the first zoom, and once more.
    """
    each = [round(share * (1 << 24) / (len(zoomed) + 2)) for share, zoomed in sets]
    zoomed = sum(weight * len(these) for weight, (_, these) in zip(each, sets, strict=True))
    return np.array([(1 << 24) - zoomed, *each, 0][:3], dtype=np.uint64)


@lru_cache(maxsize=64)
def places(size: int, sets: tuple[tuple[float, tuple[float, ...]], ...]) -> NDArray[np.uint32]:
    """Positions that each zoom reads along a side, uint32 (zooms, size) in 16ths of a pixel."""
    positions = []
    for zoom in (zoom for _, zoomed in sets for zoom in zoomed):
        crop = math.ceil(size / zoom)
        last = max(1, round(crop * zoom) - 1)
        steps = np.arange(size) * (crop - 1) * ONE
        positions.append((2 * steps + last) // (2 * last) + (size - crop) // 2 * ONE)
    table = np.minimum(positions, (size - 1) * ONE).astype(np.uint32)
    table.flags.writeable = False
    return table


def _packed(layers: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pixels as one word each: a channel has 21 bits, 8 of them used."""
    packed = layers[..., 0].astype(np.uint64)
    for channel in range(1, layers.shape[2]):
        packed |= layers[..., channel].astype(np.uint64) << np.uint64(21 * channel)
    return packed


@compiled
def _zoom(
    image: NDArray[np.uint64],
    rows: NDArray[np.uint32],
    columns: NDArray[np.uint32],
    owners: NDArray[np.int64],
    weights: NDArray[np.uint64],
    out: NDArray[np.uint8],
) -> None:
    """Fill `out` (h, w, channels); sums of at most 17 zooms in 256ths fit the 21 bits of a channel."""
    height, width = image.shape
    one, low = np.uint64(16), np.uint64((1 << 21) - 1)
    line = np.zeros(width + 1, dtype=np.uint64)
    totals = np.empty((2, width), dtype=np.uint64)
    for row in range(height):
        totals[:] = 0
        for zoom in range(len(owners)):
            above = image[rows[zoom, row] >> np.uint32(4)]
            below = image[min((rows[zoom, row] >> np.uint32(4)) + 1, height - 1)]
            far = np.uint64(rows[zoom, row] & np.uint32(15))
            near = np.uint64(one - far)
            for i in range(width):
                line[i] = above[i] * near + below[i] * far
            total, at = totals[owners[zoom]], columns[zoom]
            for i in range(width):
                left, part = np.uint64(at[i] >> np.uint32(4)), np.uint64(at[i] & np.uint32(15))
                total[i] += line[left] * (one - part) + line[left + np.uint64(1)] * part
        for channel in range(out.shape[2]):
            shift = np.uint64(21 * channel)
            for i in range(width):
                seen = (image[row, i] >> shift & low) * weights[0] << np.uint64(8)
                seen += (totals[0, i] >> shift & low) * weights[1]
                seen += (totals[1, i] >> shift & low) * weights[2]
                out[row, i, channel] = seen + np.uint64(1 << 31) >> np.uint64(32)
