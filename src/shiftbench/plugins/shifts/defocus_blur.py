"""Defocus blur: every point becomes a disk, as behind a lens out of focus.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (radius of the disk,
sigma of the Gaussian that softens its rim, sum of the weights), in pixels of a 224 px image, from
`make_imagenet_c.py`: a pixel is in the disk if its middle is; the Gaussian folds the rims of the largest two disks
back, so that they brighten the image; the image is mirrored at its edges. Differs: the radius scales with min(h, w) /
224 (not with `scale: none`), the rim's softness is one of pixels at any size; a radius between two whole numbers
mixes their disks; a radius above 10 pixels is made on a reduced image; sums are whole numbers; rounded, not
truncated.

Takes no random words.
"""

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _blur, _levels

FIELD = "image"
LEVELS = {1: (3.0, 0.1, 1.0), 2: (4.0, 0.5, 1.0), 3: (6.0, 0.5, 1.0), 4: (8.0, 0.5, 1.01298), 5: (10.0, 0.5, 1.01079)}
RANGE = _levels.RANGE
WIDEST = 10.0  # pixels: a disk of a larger radius is made on a reduced image


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, scale: _levels.Scale = "image"
) -> NDArray[np.uint8]:
    """A blurred copy of an image, uint8 (h, w) or (h, w, 3)."""
    radius, softness, gain = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0, 1.0))
    if radius == 0:
        return value.copy()
    wide = radius * _levels.scale(value.shape, scale)
    factor = _blur.reduction(wide, WIDEST)
    if factor == 1:
        return _softened(_means(_mirrored(value, math.ceil(wide) + 1), wide, gain), softness)
    inner = math.sqrt((wide / factor) ** 2 - 1)  # reducing and enlarging widen the disk
    small = _blur.reduced(_mirrored(value, math.ceil(inner) * factor), factor)
    return _blur.enlarged(_means(small, inner, gain), factor, value.shape)


def _mirrored(value: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    source, around = np.ascontiguousarray(value), (reach, reach, reach, reach)
    return np.asarray(cv2.copyMakeBorder(source, *around, cv2.BORDER_REFLECT_101), dtype=np.uint8)


def _means(padded: NDArray[np.uint8], radius: float, gain: float) -> NDArray[np.uint16]:
    """Means over disks in 128ths, without the pixels that are nearer to an edge than the radius."""
    spans, weights = disks(radius, gain)
    outer, channels = math.ceil(radius), math.prod(padded.shape[2:])
    height, width = padded.shape[0] - 2 * outer, padded.shape[1] - 2 * outer
    sums = np.empty((len(padded), (padded.shape[1] + 1) * channels), dtype=np.uint16)
    _add_up(padded.reshape(len(padded), -1), channels, sums)
    means = np.empty((height, width, *padded.shape[2:]), dtype=np.uint16)
    _disks(sums, spans * (1, 1, channels, channels), weights, means.reshape(height, -1))
    return means


@lru_cache(maxsize=64)
def disks(radius: float, gain: float) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The disks of the whole radii around `radius`, as rows of pixels, and their weights.

    A row is int64 (disk, line, left, right): pixels left to right - 1 of a line, from the corner of the
    square around the larger disk. A weight times the sum over a disk is a share of the mean in 128ths,
    times 65,536.
    """
    outer = math.ceil(radius)
    rows, weights = [], []
    for disk, share in enumerate((1 - (outer - radius), outer - radius)):
        reach = outer - disk if share else -1
        halves = [math.isqrt(reach * reach - y * y) for y in range(-reach, reach + 1)]
        rows += [(disk, disk + line, outer - half, outer + half + 1) for line, half in enumerate(halves)]
        pixels = sum(2 * half + 1 for half in halves) or 1
        weights.append(round(share * gain * (_blur.FINE << 16) / pixels))
    return np.array(rows), np.array(weights, dtype=np.uint32)


@compiled
def _add_up(rows: NDArray[np.uint8], channels: int, out: NDArray[np.uint16]) -> None:
    """Fill `out` with the sums of what stands before each value, modulo 65,536."""
    for row in range(len(rows)):
        seen, before, after = rows[row], out[row], out[row, channels:]
        before[:channels] = 0
        for i in range(len(seen)):
            after[i] = np.uint16(before[i] + seen[i])


@compiled
def _disks(
    sums: NDArray[np.uint16], spans: NDArray[np.int64], weights: NDArray[np.uint32], out: NDArray[np.uint16]
) -> None:
    """Fill `out` (h, w * channels) with the weighted sum of two disks, up to white."""
    height, width = out.shape
    totals, white = np.empty((2, width), dtype=np.uint32), np.uint32(255 << 23)
    for row in range(height):
        totals[:] = 0
        for span in range(len(spans)):
            disk, line, start, end = spans[span]
            total = totals[disk]
            left, right = sums[row + line, start:][:width], sums[row + line, end:][:width]
            for i in range(width):
                total[i] += np.uint32(np.uint16(right[i] - left[i]))
        for i in range(width):
            mean = totals[0, i] * weights[0] + totals[1, i] * weights[1] + np.uint32(1 << 15)
            out[row, i] = np.minimum(np.uint32(mean), white) >> np.uint32(16)


def _softened(means: NDArray[np.uint16], softness: float) -> NDArray[np.uint8]:
    """The means in grey levels after a Gaussian of 3 x 3 pixels; one pixel less on each side."""
    height, width = means.shape[0] - 2, means.shape[1] - 2
    soft = np.empty((height, width, *means.shape[2:]), dtype=np.uint8)
    rows, channels = means.reshape(len(means), -1), math.prod(means.shape[2:])
    _soften(rows, side(softness), channels, soft.reshape(height, -1))
    return soft


def side(sigma: float) -> int:
    """The outer weight, in 256ths, of a Gaussian of three pixels."""
    height = (-1 / (2 * Decimal(sigma) ** 2)).exp()
    return round(_blur.ONE * height / (1 + 2 * height))


@compiled
def _soften(rows: NDArray[np.uint16], edge: int, channels: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w * channels) from `rows` (h + 2, (w + 2) * channels) in 128ths; 23 bits cut off."""
    outer, inner = np.uint32(edge), np.uint32(256 - 2 * edge)
    line = np.empty(rows.shape[1], dtype=np.uint32)
    for row in range(out.shape[0]):
        above, at, below = rows[row], rows[row + 1], rows[row + 2]
        for i in range(len(line)):
            line[i] = (above[i] + below[i]) * outer + at[i] * inner
        middle, right = line[channels:], line[2 * channels :]
        for i in range(out.shape[1]):
            total = (line[i] + right[i]) * outer + middle[i] * inner
            out[row, i] = np.uint32(total + np.uint32(1 << 22)) >> np.uint32(23)
