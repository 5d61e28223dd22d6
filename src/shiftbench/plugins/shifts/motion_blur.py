"""Motion blur: every point is smeared along one line, fading with distance.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (radius, sigma) in
pixels of a 224 px image from `make_imagenet_c.py`, which calls ImageMagick's motion blur: a one-sided Gaussian of 2 x
radius + 1 taps along a line between -45 and 45 degrees. Differs: radius and sigma scale with min(h, w) / 224 (not
with `scale: none`), and below 224 px the Gaussian is sampled between the pixels too; edges are repeated; the angle is
the same for all severities of a sample; weights are 256ths that sum to one, so that all arithmetic is in integers
(0.3 grey levels from the float kernel on average, 1.8 at most, on a photo at 224 px); rounded, not truncated. From
448 px on, the line is a line of steps as long as 2, 3, ... pixels, each smeared evenly: the cost per pixel stays the
same.

Takes one 16-bit word (the angle).
"""

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: (10.0, 3.0), 2: (15.0, 5.0), 3: (15.0, 8.0), 4: (15.0, 12.0), 5: (20.0, 15.0)}
RANGE = _levels.RANGE
ONE = 256  # weights are 256ths: 255 x 256 + 128 fits 16 bits


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, scale: _levels.Scale = "image"
) -> NDArray[np.uint8]:
    """A blurred copy of an image, uint8 (h, w) or (h, w, 3)."""
    radius, sigma = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    pixel = _levels.scale(value.shape, scale)
    step = max(1, int(pixel))
    weights = kernel(2 * radius * pixel, sigma * pixel, max(1, math.ceil(1 / pixel)), step)
    path = line(float(rng.uniform()), step * len(weights))
    blurred = _smeared(value, weights, path[::step])
    return _smeared(blurred, even(step), path)


def _smeared(value: NDArray[np.uint8], weights: tuple[int, ...], path: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """The sum of weights times the pixels (down, right) along a path, in 256ths."""
    if len(weights) == 1:
        return value.copy()
    points = np.array(path[: len(weights)])
    reach, right = int(np.abs(points).max()), int(points[:, 1].max())
    padded = cv2.copyMakeBorder(np.ascontiguousarray(value), reach, reach, 0, right, cv2.BORDER_REPLICATE)
    rows = np.asarray(padded, dtype=np.uint8).reshape(len(padded), -1)
    smeared = np.empty(value.shape, dtype=np.uint8)
    channels = value.size // (value.shape[0] * value.shape[1])
    points = points * (1, channels) + (reach, 0)
    _sum(rows, np.array(weights, dtype=np.uint16), points, smeared.reshape(len(value), -1))
    return smeared


@compiled
def _sum(
    rows: NDArray[np.uint8], weights: NDArray[np.uint16], points: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    """Fill `out` (h, w * channels) with the weighted sum of its copies moved by `points`."""
    width = out.shape[1]
    total = np.empty(width, dtype=np.uint16)
    for row in range(out.shape[0]):
        total[:] = 128
        for tap in range(len(weights)):
            weight = weights[tap]
            seen = rows[row + points[tap, 0]][points[tap, 1] :][:width]
            for i in range(width):
                total[i] += np.uint16(seen[i] * weight)
        for i in range(width):
            out[row, i] = total[i] >> np.uint16(8)


@lru_cache(maxsize=64)
def kernel(reach: float, sigma: float, parts: int, step: int = 1) -> tuple[int, ...]:
    """Weights at distances 0, `step`, 2 x `step`, ... pixels: integers that sum to 256.

    The half Gaussian of `sigma` pixels is cut off at `reach` and sampled `parts` times per pixel;
    a sample between two pixels is shared by both; each weight is the sum over `step` pixels. Decimal
    exponentials, since those of the C library may differ between CPUs.
    """
    if sigma == 0:
        return (ONE,)
    exact = [Decimal(0)] * (math.floor(reach) + 2)
    for sample in range(math.floor(reach * parts) + 1):
        pixel, part = divmod(sample, parts)
        height = (-((Decimal(sample) / parts / Decimal(sigma)) ** 2) / 2).exp()
        exact[pixel] += height * (parts - part)
        exact[pixel + 1] += height * part
    steps = [sum(exact[i : i + step], Decimal(0)) for i in range(0, len(exact), step)]
    return _whole([share * ONE / sum(exact) for share in steps])


def even(step: int) -> tuple[int, ...]:
    """`step` weights, as equal as whole numbers that sum to 256 can be."""
    return _whole([Decimal(ONE) / step] * step)


def _whole(exact: list[Decimal]) -> tuple[int, ...]:
    """Round to integers of the same sum (largest remainders up), without zeros at the end."""
    weights = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: weights[i] - exact[i])
    for i in by_remainder[: ONE - sum(weights)]:
        weights[i] += 1
    while weights[-1] == 0:
        weights.pop()
    return tuple(weights)


def line(turn: float, reach: int) -> list[tuple[int, int]]:
    """The pixels (down, right) at distances 0 to `reach` along a line of -45 to 45 degrees.

    The halves round down, as in the original; no angle of a 16-bit word comes nearer to a half than
    the C library's sine errs.
    """
    angle = math.radians(-45 + 90 * turn)
    down, right = math.sin(angle), math.cos(angle)
    return [(math.ceil(i * down - 0.5), math.ceil(i * right - 0.5)) for i in range(reach + 1)]
