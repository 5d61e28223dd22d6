"""Motion blur: every point is smeared along one line, fading with distance.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are
(radius, sigma) in pixels of a 224 px image from `make_imagenet_c.py`, which calls ImageMagick's
motion blur: a one-sided Gaussian of 2 x radius + 1 taps along a line between -45 and 45 degrees.
Differs: radius and sigma scale with min(h, w) / 224, and below 224 px the Gaussian is sampled between
the pixels too; edges are repeated; the angle is the same for all severities of a sample; weights are
256ths that sum to one, so that all arithmetic is in integers (0.3 grey levels from the float kernel
on average, 1.8 at most, on a photo at 224 px); rounded, not truncated.

Takes one 16-bit word (the angle).
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.rng import Words
from shiftbench.shifts import _levels

FIELD = "image"
LEVELS = {1: (10.0, 3.0), 2: (15.0, 5.0), 3: (15.0, 8.0), 4: (15.0, 12.0), 5: (20.0, 15.0)}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}
ONE = 256  # weights are 256ths: 255 x 256 + 128 still fits 16 bits


def apply(value: NDArray[np.uint8], severity: float, words: Words) -> NDArray[np.uint8]:
    """Return a blurred copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    radius, sigma = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    pixel = _levels.scale(value.shape)
    weights = kernel(2 * radius * pixel, sigma * pixel, max(1, math.ceil(1 / pixel)))
    reach = len(weights) - 1
    padded = cv2.copyMakeBorder(value, reach, reach, 0, reach, cv2.BORDER_REPLICATE)
    wide = padded.reshape(padded.shape[:2] + value.shape[2:]).astype(np.uint16)
    height, width = value.shape[:2]
    total = np.full(value.shape, ONE // 2, dtype=np.uint16)
    part = np.empty_like(total)
    for weight, (down, right) in zip(weights, line(float(words.uniform()), reach), strict=True):
        seen = wide[reach + down : reach + down + height, right : right + width]
        total += np.multiply(seen, np.uint16(weight), out=part)
    return (total >> 8).astype(np.uint8)


@lru_cache(maxsize=64)
def kernel(reach: float, sigma: float, parts: int) -> tuple[int, ...]:
    """Return weights at distances 0, 1, 2, ... pixels: integers that sum to 256.

    The half Gaussian of `sigma` pixels is cut off at `reach` and sampled `parts` times per pixel;
    a sample between two pixels is shared by both. Decimal exponentials, since those of the C
    library may differ between CPUs.
    """
    if sigma == 0:
        return (ONE,)
    exact = [Decimal(0)] * (math.floor(reach) + 2)
    for sample in range(math.floor(reach * parts) + 1):
        pixel, part = divmod(sample, parts)
        height = (-((Decimal(sample) / parts / Decimal(sigma)) ** 2) / 2).exp()
        exact[pixel] += height * (parts - part)
        exact[pixel + 1] += height * part
    return _whole([share * ONE / sum(exact) for share in exact])


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
    """Return the pixels (down, right) at distances 0 to `reach` along a line of -45 to 45 degrees.

    The halves round down, as in the original; no angle of a 16-bit word comes nearer to a half than
    the C library's sine errs.
    """
    angle = math.radians(-45 + 90 * turn)
    down, right = math.sin(angle), math.cos(angle)
    return [(math.ceil(i * down - 0.5), math.ceil(i * right - 0.5)) for i in range(reach + 1)]
