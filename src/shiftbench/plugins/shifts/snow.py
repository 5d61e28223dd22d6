"""Snow: bright flakes, smeared along their fall, over an image that is paler.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (mean and deviation of
a normal field, its enlargement in pixels of a 224 px image, threshold below which there is no flake, radius and sigma
of the motion blur, share of the image that does not turn pale) from `make_imagenet_c.py`. The field is enlarged
bilinearly around its middle, cut off below the threshold, smeared along a line of -135 to -45 degrees, and added
twice, once turned by 180 degrees. Differs: enlargement, radius and sigma scale with min(h, w) / 224 (not with `scale:
none`), with flakes of 1.5 px at least; above 447 px the flakes are made at 1/2, 1/3, ... of the size and enlarged, so
that their edges scale too; the angle and the middle of the field are the same for all severities of a sample; motion
blur with integer weights as in `motion_blur`; rounded, not truncated.

The published levels do not grow in each constant, nor does their damage: `profile: published` has these five
only. `profile: continuous` grows, with flakes that stay where they are.

Takes one 16-bit word (the angle), then one per point of the field that the smallest enlargement needs.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts._noise_fields import enlarged, lattice, normal_field
from shiftbench.plugins.shifts.motion_blur import kernel, line

FIELD = "image"
LEVELS = {
    1: (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
    2: (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7),
    3: (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7),
    4: (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65),
    5: (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55),
}
LEVELS_CONTINUOUS = {
    1: (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
    2: (0.3, 0.3, 3.0, 0.6, 10.5, 5.0, 0.75),
    3: (0.45, 0.3, 3.0, 0.75, 11.0, 6.5, 0.7),
    4: (0.5, 0.3, 3.0, 0.78, 11.5, 8.0, 0.63),
    5: (0.55, 0.3, 3.0, 0.8, 12.0, 10.0, 0.55),
}
NOTHING = (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 1.0)  # of which `fade` shows nothing
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
SMALLEST = {"published": 2.0, "continuous": 3.0}  # enlargements
FINEST = 1.5  # pixels between two points of the field, at least
SHARES = 1 << 15


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    profile: _levels.Profile = "published",
    scale: _levels.Scale = "image",
) -> NDArray[np.uint8]:
    """A snowy copy of an image, uint8 (h, w) or (h, w, 3)."""
    *flakes, keep = constants(severity, profile)
    if severity == 0:
        return value.copy()
    layer = fallen(value.shape, tuple(flakes), SMALLEST[profile], rng, scale)
    image = np.ascontiguousarray(value)
    grey = image
    if value.ndim == 3:
        grey = np.asarray(cv2.merge([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * 3), dtype=np.uint8)
        layer = np.asarray(cv2.merge([layer] * 3), dtype=np.uint8)
    snowy = np.empty_like(image)
    share, fade = round(keep * SHARES), round(min(severity, 1) * SHARES)
    flat = image.reshape(-1), grey.reshape(-1), layer.reshape(-1)
    _cover(*flat, np.int32(share), np.int32(fade), snowy.reshape(-1))
    return snowy


def constants(severity: float, profile: str) -> tuple[float, ...]:
    """The seven constants of a profile at a severity."""
    if profile == "published":
        return _levels.published(__name__, LEVELS, severity, zero=NOTHING)
    if profile == "continuous":
        return _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=NOTHING)
    raise ParamsError(f"snow: profile is {profile!r}; allowed are published and continuous")


def fallen(
    shape: tuple[int, ...], flakes: tuple[float, ...], smallest: float, rng: RandomStream, scale: str = "image"
) -> NDArray[np.uint8]:
    """The layer of smeared flakes and itself turned by 180 degrees, added, uint8 (h, w)."""
    mean, deviation, zoom, threshold, radius, sigma = flakes
    fine, height, width = lattice(shape, scale)
    pixel = _levels.scale((height, width), scale)
    turn = float(rng.uniform())
    spacing = max(smallest * pixel, FINEST)
    field = normal_field(math.ceil(height / spacing), math.ceil(width / spacing), rng)
    (down, rows), (right, columns) = (places(side, max(zoom * pixel, FINEST)) for side in (height, width))
    flat = np.empty((height, width), dtype=np.uint8)
    levels = grey_levels(mean, deviation, threshold)
    _enlarge(_middle(field, rows, columns), down, right, levels, flat)
    layer = smear(flat, turn, radius * pixel, sigma * pixel, max(1, math.ceil(1 / pixel)))
    layer = enlarged(layer, fine, shape)
    return np.asarray(cv2.add(layer, layer[::-1, ::-1].copy()), dtype=np.uint8)


def _middle(field: NDArray[np.int16], rows: int, columns: int) -> NDArray[np.int16]:
    top, left = (field.shape[0] - rows) // 2, (field.shape[1] - columns) // 2
    return np.ascontiguousarray(field[top : top + rows, left : left + columns])


@lru_cache(maxsize=64)
def places(side: int, spacing: float) -> tuple[NDArray[np.int32], int]:
    """Between which points of the field each pixel lies, and how many points there are.

    As in the original: ceil(side / spacing) points are drawn over that many spacings, end to end, of
    which the middle `side` pixels are kept.

    Returns:
        int32 (2, side), the first of the two points and 256ths of the way to the next; and the number
        of points.
    """
    points = math.ceil(side / spacing)
    drawn = max(round(points * spacing), side)
    trim = (drawn - side) // 2
    way = (np.arange(trim, trim + side) * (points - 1) * 512 // max(drawn - 1, 1) + 1) >> 1  # rounded
    first = np.minimum(way >> 8, max(points - 2, 0))
    return np.stack([first, way - (first << 8)]).astype(np.int32), points


def grey_levels(mean: float, deviation: float, threshold: float) -> NDArray[np.int32]:
    """Grey level at 0 of the field, the increase at 1, and the threshold of flakes.

    In 2**20ths of a grey level; what 1 adds is in 2**6ths, for a field in 2**14ths.
    """
    zero, begin = (round(255 * level * (1 << 20)) for level in (mean, threshold))
    return np.array([zero, round(255 * deviation * (1 << 6)), begin], dtype=np.int32)


def smear(flat: NDArray[np.uint8], turn: float, radius: float, sigma: float, parts: int) -> NDArray[np.uint8]:
    """The layer smeared downwards, along a line turned by -45 to 45 degrees."""
    weights = kernel(2 * radius, sigma, parts)
    reach = len(weights) - 1
    along = line(turn, reach)  # from left to right; a quarter turn makes it fall
    right, up = np.array(along, dtype=np.int64).T
    padded = cv2.copyMakeBorder(flat, reach, 0, reach, reach, cv2.BORDER_REPLICATE)
    smeared = np.empty_like(flat)
    _smear(np.asarray(padded), reach - up, reach + right, np.array(weights, dtype=np.uint16), smeared)
    return smeared


@compiled
def _enlarge(
    field: NDArray[np.int16],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    levels: NDArray[np.int32],
    flat: NDArray[np.uint8],
) -> None:
    """Fill `flat` (h, w): the field between its points as grey levels, truncated; 0 where no flake is."""
    height, width = flat.shape
    wide = np.empty((len(field), width), dtype=np.int32)
    last = field.shape[1] - 1
    for k in range(len(field)):
        for j in range(width):
            before, way = columns[0, j], columns[1, j]
            left, right = field[k, before], field[k, min(before + 1, last)]
            wide[k, j] = left * (256 - way) + right * way
    zero, slope, begin = levels
    white, black = np.int32(255), np.int32(0)
    for i in range(height):
        upper, under = wide[rows[0, i]], wide[min(rows[0, i] + 1, len(field) - 1)]
        down = rows[1, i]
        up = np.int32(256 - down)
        for j in range(width):
            between = np.int32(np.int32(upper[j] * up) + np.int32(under[j] * down)) >> 14
            level = np.int32(np.int32(np.int32(between) * slope) + zero)
            level = level if level >= begin else black
            flat[i, j] = np.uint8(min(np.int32(max(level, black) >> 20), white))


@compiled
def _smear(
    padded: NDArray[np.uint8],
    down: NDArray[np.int64],
    right: NDArray[np.int64],
    weights: NDArray[np.uint16],
    smeared: NDArray[np.uint8],
) -> None:
    """Fill `smeared` (h, w) with the weighted means, in 256ths, of the padded layer at each offset."""
    height, width = smeared.shape
    total = np.empty(width, dtype=np.uint16)
    for i in range(height):
        total[:] = 128
        for tap in range(len(weights)):
            weight = weights[tap]
            seen = padded[i + down[tap], right[tap] : right[tap] + width]
            for j in range(width):
                total[j] += np.uint16(np.uint16(seen[j]) * weight)
        for j in range(width):
            smeared[i, j] = np.uint8(total[j] >> 8)


@compiled
def _cover(
    image: NDArray[np.uint8],
    grey: NDArray[np.uint8],
    layer: NDArray[np.uint8],
    keep: np.int32,
    fade: np.int32,
    snowy: NDArray[np.uint8],
) -> None:
    """Fill `snowy` (n,): a paler image (towards 1.5 x its grey + a half) plus `fade` of the layer."""
    pale, white = np.int32(np.int32(SHARES) - keep), np.int32(255)
    for i in range(len(image)):
        twice = np.int32(2 * np.int32(image[i]))
        lit = np.int32(3 * np.int32(grey[i]) + 255)
        paler = np.int32(np.int32(keep * twice) + np.int32(pale * max(twice, lit)))
        level = np.int32(paler + np.int32(np.int32(2 * fade) * np.int32(layer[i])))
        snowy[i] = np.uint8(min(np.int32(np.int32(level + np.int32(SHARES)) >> 16), white))
