"""Spatter: drops of water (levels 1 to 3) or splashes of mud (4 and 5) on the lens.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261 (held out); levels are (mean and
deviation of a normal field, sigma of its blur, threshold above which there is liquid, strength of water or sigma of
the mud's edge) from `make_imagenet_c.py`. Water is lit by a relief: the distance to the drops' Canny edges, up to 20
px, is flattened, equalised and embossed; it adds pale turquoise. Mud covers with brown where it is thick. Differs:
sigmas and the 20 px scale with min(h, w) / 224 (down to a half; not with `scale: none`), and the blurred field keeps
the deviation that it has at 224 px, so that as much is covered at any size; above 447 px the liquid is made at 1/2,
1/3, ... of the size and enlarged; one field for all severities of a sample; fixed point arithmetic; without a drop
the image stays (there 0 / 0); rounded, not truncated.

The published damage falls from water to mud: `profile: published` has the five levels only. `profile:
continuous` grows: water whose drops widen, and from level 2 on mud over it, with one blur each.

Takes one 16-bit word per point of the field.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts._edges import canny, distances
from shiftbench.plugins.shifts._noise_fields import (
    BLUR_ONE,
    NORMAL_ONE,
    blurred,
    enlarged,
    gaussian,
    lattice,
    normal_field,
)

FIELD = "image"
LEVELS = {
    1: (0.65, 0.3, 4.0, 0.69, 0.6),
    2: (0.65, 0.3, 3.0, 0.68, 0.6),
    3: (0.65, 0.3, 2.0, 0.68, 0.5),
    4: (0.65, 0.3, 1.0, 0.65, 1.5),
    5: (0.67, 0.4, 1.0, 0.65, 1.5),
}
FIRST_MUD = 4
# water: threshold, strength; mud: threshold (with sigmas 3 and 1, and the mud's edge 1.5)
LEVELS_CONTINUOUS = {
    1: (0.703, 0.5, 0.75),
    2: (0.6805, 0.6, 0.74),
    3: (0.672, 0.54, 0.685),
    4: (0.667, 0.38, 0.656),
    5: (0.664, 0.26, 0.636),
}
ZERO = (0.71, 0.0, 0.75)
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
WATER, MUD = (175, 238, 238), (63, 42, 20)  # red, green, blue
THICK = 0.8
HIDDEN = 65536 // 255  # 65,536ths of what is under 1 / 255 of mud
FINEST = 0.5  # of a reference pixel
EDGE = (50, 150)  # Canny's thresholds
FAR = 20  # pixels from an edge
COVER = np.array([1 << 19, 255 << 6, round(THICK * 255 * (1 << 20)) + (1 << 19)], dtype=np.int32)
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    profile: _levels.Profile = "published",
    scale: _levels.Scale = "image",
) -> NDArray[np.uint8]:
    """A spattered copy of an image, uint8 (h, w) or (h, w, 3)."""
    drops, splashes = liquids(severity, profile)
    fine, height, width = lattice(value.shape, scale)
    pixel = max(_levels.scale((height, width), scale), FINEST)
    field = normal_field(height, width, rng)
    result = np.array(value, order="C")
    if drops:
        *form, strength = drops
        layer = enlarged(water(field, tuple(form), pixel), fine, value.shape)
        result = laid(result, layer, WATER, strength, cover=False)
    if splashes:
        layer = enlarged(mud(field, splashes, pixel), fine, value.shape)
        result = laid(result, layer, MUD, 1.0, cover=True)
    return result


def liquids(severity: float, profile: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The five constants of water and of mud, without any where there is none."""
    if profile == "published":
        constants = _levels.published(__name__, LEVELS, severity, zero=(0.0,) * 5)
        if severity == 0:
            return (), ()
        return ((), constants) if severity >= FIRST_MUD else (constants, ())
    if profile != "continuous":
        raise ParamsError(f"spatter: profile is {profile!r}; allowed are published and continuous")
    wet, strength, dirty = _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=ZERO)
    drops = (0.65, 0.3, 3.0, wet, strength) if severity > 0 else ()
    return drops, ((0.65, 0.3, 1.0, dirty, 1.5) if severity > 2 else ())


def water(field: NDArray[np.int16], form: tuple[float, ...], pixel: float) -> NDArray[np.uint8]:
    """Brightness of drops, uint8 of the field's shape, 255 at the most."""
    liquid = thresholded(field, form, pixel)
    relief = np.empty_like(liquid)
    near = distances(canny(liquid, *EDGE), round(FAR * pixel * 65536))
    _flatten(near, np.int32(round(4096 / pixel)), relief)
    embossed = cv2.filter2D(cv2.equalizeHist(relief), cv2.CV_8U, EMBOSS)
    lit = np.multiply(liquid, cv2.blur(embossed, (3, 3)), dtype=np.uint16)
    shining = np.empty_like(liquid)
    _normalise(lit, np.uint32((255 << 16) // max(int(lit.max()), 1)), shining)
    return shining


def mud(field: NDArray[np.int16], form: tuple[float, ...], pixel: float) -> NDArray[np.uint8]:
    """Opacity of splashes, uint8 of the field's shape."""
    *ground, edge = form
    splashed = thresholded(field, tuple(ground), pixel) > 0
    soft = blurred(splashed * np.int16(NORMAL_ONE), edge * pixel)
    opaque = np.empty(field.shape, dtype=np.uint8)
    _map(soft, COVER, opaque)
    return opaque


def thresholded(field: NDArray[np.int16], form: tuple[float, ...], pixel: float) -> NDArray[np.uint8]:
    """The blurred field as grey levels, truncated, 0 below the threshold."""
    liquid = np.empty(field.shape, dtype=np.uint8)
    _map(blurred(field, form[2] * pixel), ground(form, pixel), liquid)
    return liquid


def ground(form: tuple[float, ...], pixel: float) -> NDArray[np.int32]:
    """Level at 0 of a blurred field, the increase at 1, and the threshold of liquid.

    In 2**20ths of a grey level; what 1 adds is in 2**6ths, for a field in 2**14ths.
    """
    mean, deviation, sigma, threshold = form
    slope = 255 * deviation * left(sigma) / left(sigma * pixel)
    zero, begin = (round(255 * level * (1 << 20)) for level in (mean, threshold))
    return np.array([zero, round(slope * (1 << 6)), begin], dtype=np.int32)


@lru_cache(maxsize=64)
def left(sigma: float) -> float:
    """Share of the deviation of white noise that remains after blur."""
    weights = gaussian(sigma).astype(np.int64)
    squares = 2 * int((weights * weights).sum()) - int(weights[0]) ** 2
    return squares / BLUR_ONE**2


def laid(
    image: NDArray[np.uint8], layer: NDArray[np.uint8], colour: tuple[int, int, int], strength: float, *, cover: bool
) -> NDArray[np.uint8]:
    """An image plus `strength` of the layer in a colour, which also hides what is under it if it covers."""
    if image.ndim == 3:
        layer = np.asarray(cv2.merge([layer] * 3), dtype=np.uint8)
    rows = np.tile(shares(colour, strength, image.ndim), image.shape[1])
    result = np.empty_like(image)
    flat = image.reshape(len(image), -1), layer.reshape(len(image), -1)
    _lay(*flat, rows, np.int32(HIDDEN if cover else 0), result.reshape(len(image), -1))
    return result


def shares(colour: tuple[int, int, int], strength: float, axes: int) -> NDArray[np.int32]:
    """Change of each channel (grey for 2 axes) by 1 / 255 of a layer: 65,536ths of a level."""
    red, green, blue = colour
    tones = colour if axes == 3 else (0.2989 * red + 0.587 * green + 0.114 * blue,)
    return np.array([round(strength * tone * 65536 / 255) for tone in tones], dtype=np.int32)


@compiled
def _map(soft: NDArray[np.int32], levels: NDArray[np.int32], liquid: NDArray[np.uint8]) -> None:
    """Fill `liquid`: field x slope + zero, in 2**20ths, truncated; 0 where it does not reach `begin`."""
    zero, slope, begin = levels
    white, black = np.int32(255), np.int32(0)
    for i in range(soft.shape[0]):
        for j in range(soft.shape[1]):
            level = np.int32(np.int32(soft[i, j] * slope) + zero)
            level = level if level >= begin else black
            liquid[i, j] = np.uint8(min(np.int32(max(level, black) >> 20), white))


@compiled
def _flatten(near: NDArray[np.int32], share: np.int32, relief: NDArray[np.uint8]) -> None:
    """Fill `relief`: means of 3 x 3 distances in pixels of a 224 px image, truncated.

    `near`: as `distances` makes it; its frame is overwritten (mirrored without the edge).
    `share`: 4,096ths of a reference pixel that 64 pixels are.
    """
    height, width = relief.shape
    near[1], near[height + 2] = near[min(3, height + 1)], near[max(height, 2)]
    total = np.empty(width + 2, dtype=np.int32)
    for i in range(height):
        above, here, below = near[i + 1], near[i + 2], near[i + 3]
        for j in range(width):
            over, at = (above[j + 2] >> 10) * share >> 6, (here[j + 2] >> 10) * share >> 6
            total[j + 1] = over + at + ((below[j + 2] >> 10) * share >> 6)
        total[0], total[width + 1] = total[min(2, width)], total[max(width - 1, 1)]
        for j in range(width):
            mean = np.int32(total[j] + total[j + 1] + total[j + 2]) >> 12
            relief[i, j] = np.uint8(np.int32(mean * 7282) >> 16)  # a ninth, exact up to 180


@compiled
def _normalise(lit: NDArray[np.uint16], share: np.uint32, shining: NDArray[np.uint8]) -> None:
    for i in range(lit.shape[0]):
        for j in range(lit.shape[1]):
            level = np.uint32(np.uint32(lit[i, j]) * share + np.uint32(32768))
            shining[i, j] = np.uint8(level >> np.uint32(16))


@compiled
def _lay(
    image: NDArray[np.uint8],
    layer: NDArray[np.uint8],
    shares: NDArray[np.int32],
    hidden: np.int32,
    result: NDArray[np.uint8],
) -> None:
    """Fill `result` (h, n): shares, in 65,536ths, of image and colour; `shares` (n,) is one row's."""
    one, half, white = np.int32(65536), np.int32(32768), np.int32(255)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            liquid = np.int32(layer[i, j])
            under = np.int32(np.int32(image[i, j]) * np.int32(one - np.int32(liquid * hidden)))
            level = np.int32(np.int32(under + np.int32(liquid * shares[j])) + half)
            result[i, j] = np.uint8(min(np.int32(level >> 16), white))
