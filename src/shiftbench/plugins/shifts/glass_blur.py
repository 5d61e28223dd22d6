"""Glass blur: pixels take the place of near ones, as behind frosted glass, between two Gaussian blurs.

Source: Hendrycks & Dietterich 2019 (ImageNet-C, held-out corruptions), https://arxiv.org/abs/1903.12261; levels are
(sigma of the blurs, reach of the exchange in pixels, rounds) of a 224 px image, from `make_imagenet_c.py`. Its
exchange of two pixels is a copy (NumPy's views: the second assignment reads what the first wrote), from the lower
right to the upper left, which is kept; as is the cut-off fraction after the first blur. Differs: sigma and reach
scale with min(h, w) / 224 (not with `scale: none`); a reach between two whole numbers mixes them pixel by pixel, and
a part of a round is a round of that part of the reach; the end is rounded, not truncated.

Published level 4 changes photos less than level 3, and 2 hardly more than 1: `profile: published` has
the five levels only, `profile: continuous` two rounds throughout.

Takes 16-bit words: one per pixel and round.
"""

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _blur, _levels

T = TypeVar("T", bound=np.generic)

FIELD = "image"
LEVELS = {1: (0.7, 1.0, 2.0), 2: (0.9, 2.0, 1.0), 3: (1.0, 2.0, 3.0), 4: (1.1, 3.0, 2.0), 5: (1.5, 4.0, 2.0)}
LEVELS_CONTINUOUS = {**LEVELS, 2: (0.8, 1.25, 2.0), 3: (1.0, 2.75, 2.0), 4: (1.2, 3.25, 2.0)}
ZERO = (0.0, 0.0, 2.0)
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    profile: _levels.Profile = "published",
    scale: _levels.Scale = "image",
) -> NDArray[np.uint8]:
    """An image as seen through frosted glass, uint8 (h, w) or (h, w, 3)."""
    sigma, reach, rounds = constants(severity, profile)
    pixel = _levels.scale(value.shape, scale)
    soft = _blur.gaussian(value, sigma, pixel, rounding=0.0)
    if value.ndim == 2:
        return _blur.gaussian(exchanged(soft, reach * pixel, rounds, rng), sigma, pixel)
    quads = cv2.cvtColor(soft, cv2.COLOR_RGB2RGBA)
    scattered = exchanged(quads.view(np.uint32)[..., 0], reach * pixel, rounds, rng)
    bytes_ = scattered[..., None].view(np.uint8)
    triples = np.asarray(cv2.cvtColor(bytes_, cv2.COLOR_RGBA2RGB), dtype=np.uint8)
    return _blur.gaussian(triples, sigma, pixel)


def constants(severity: float, profile: str) -> tuple[float, ...]:
    """(sigma, reach, rounds) of a profile at a severity."""
    if profile == "published":
        return _levels.published(__name__, LEVELS, severity, zero=ZERO)
    if profile == "continuous":
        return _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=ZERO)
    raise ParamsError(f"glass_blur: profile is {profile!r}; allowed are published and continuous")


def exchanged(pixels: NDArray[T], reach: float, rounds: float, rng: RandomStream) -> NDArray[T]:
    """`pixels`, words of any type (h, w), after `rounds` rounds of exchange over `reach` pixels."""
    scattered = pixels.copy()
    for farthest, near in passes(reach, rounds):
        _exchange(scattered, rng.words16(pixels.size), farthest, near)
    return scattered


def passes(reach: float, rounds: float) -> list[tuple[int, int]]:
    """(whole reach, how many of 65,536 pixels have one less) of each round that moves pixels."""
    parts = [reach * min(1.0, rounds - number) for number in range(math.ceil(rounds))]
    return [(math.ceil(part), round((math.ceil(part) - part) * (1 << 16))) for part in parts if part]


@compiled
def _exchange(pixels: NDArray[T], words: NDArray[np.uint16], reach: int, near: int) -> None:
    """Copy to each pixel one from -`reach` to `reach` - 1 rows and columns away, in place.

    `near` of 65,536 pixels have one pixel less of reach. A word gives the column, what remains of it the
    row, and what remains then whether the reach is less. Pixels nearer to an edge than their reach stay.
    """
    height, width = pixels.shape
    flat = pixels.reshape(-1)
    moves = np.empty(width, dtype=np.int32)
    sides = np.array([2 * reach, 2 * reach - 2], dtype=np.uint32)
    for row in range(height - 1, 0, -1):
        start = row * width
        drawn = words[start : start + width]
        for i in range(width):
            side = sides[0]
            if near:
                rest = np.uint32(drawn[i] * sides[0]) & np.uint32(65535)
                rest = np.uint32(rest * sides[0]) & np.uint32(65535)
                side = sides[1] if rest < near else sides[0]
            right = np.uint32(drawn[i] * side)
            down = np.uint32((right & np.uint32(65535)) * side) >> np.uint32(16)
            half = np.int32(side >> np.uint32(1))
            move = (np.int32(down) - half) * width + np.int32(right >> np.uint32(16)) - half
            edge = min(row - 1, i - 1, height - row, width - i)
            moves[i] = move if edge >= half else 0
        for i in range(width - 1, 0, -1):
            flat[np.uint64(start + i)] = flat[np.uint64(start + i + moves[i])]
