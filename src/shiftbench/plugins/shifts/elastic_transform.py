"""Elastic transform: the image is stretched affinely, then locally by a smooth random field.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (strength of the field,
sigma of the Gaussian that smooths it, jitter of the three points that fix the affine map) in pixels of a 224 px
image, from `make_imagenet_c.py`, after Simard et al. 2003, "Best practices for convolutional neural networks". There
level 2 changes an image most: `profile: published` has these five levels only. `profile: continuous` has one
smoothness and no affine map: the constants of `imagecorruptions` (https://github.com/bethgelab/imagecorruptions),
whose strength only grows. Differs: all lengths scale with min(h, w) / 224 (with `scale: none` they are as published,
which in that package means a sigma of a hundredth of each side, and a strength that knows no size); the field is of
256 values per point, and above 6 pixels of sigma of one point per 2, 4, ... pixels, linear between; places are 256ths
of a pixel; rounded after the affine map and after the field, not truncated.

Takes 16-bit words: six (the affine map); then raw words, eight points each: field along x, along y.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _blur, _levels
from shiftbench.plugins.shifts._warp import ONE, warp

FIELD = "image"
MOVES = True
LEVELS = {
    1: (488.0, 170.8, 24.4),
    2: (488.0, 19.52, 48.8),
    3: (12.2, 2.44, 4.88),
    4: (17.08, 2.44, 4.88),
    5: (29.28, 2.44, 4.88),
}
LEVELS_CONTINUOUS = {
    1: (14.0, 2.24, 0.0),
    2: (18.2, 2.24, 0.0),
    3: (23.8, 2.24, 0.0),
    4: (28.0, 2.24, 0.0),
    5: (33.6, 2.24, 0.0),
}
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
BITS = 24  # fractional bits of an affine map
EXTRA = 8  # fractional bits of a 256th of a pixel, while a coarse field is spread


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    profile: _levels.Profile = "published",
    scale: _levels.Scale = "image",
) -> NDArray[np.uint8]:
    """An elastically stretched copy of an image, uint8 (h, w) or (h, w, 3)."""
    strength, sigma, jitter = constants(severity, profile)
    shape, pixel = value.shape[:2], _levels.scale(value.shape, scale)
    steps, whole = (pixel, pixel), True
    if scale == "none" and profile == "continuous":  # of this package the sigmas are shares of the sides
        steps, whole = (shape[0] / _levels.REFERENCE_SIDE, shape[1] / _levels.REFERENCE_SIDE), False
    turn = affine(shape, jitter * pixel, [float(word) for word in rng.uniform(6)])
    reach = strength * steps[0]
    across, along = (field(shape, reach, sigma, steps, rng, whole=whole) for _ in range(2))
    columns, rows = np.arange(shape[1], dtype=np.int32), np.arange(shape[0], dtype=np.int32)
    if jitter:
        value = warp(value, places(turn[0], shape), places(turn[1], shape), "mirror")
    return warp(value, across + columns * ONE, along + rows[:, None] * ONE)


def constants(severity: float, profile: str) -> tuple[float, ...]:
    """(strength, sigma, jitter) of a profile at a severity."""
    if profile == "published":
        return _levels.published(__name__, LEVELS, severity, zero=(0.0, 170.8, 0.0))
    if profile == "continuous":
        return _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=(0.0, 2.24, 0.0))
    raise ParamsError(f"elastic_transform: profile is {profile!r}; allowed are published and continuous")


def corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Three corners (x, y) of a square of two thirds of the shorter side, in the middle."""
    reach, middle = min(shape) // 3, (shape[1] // 2, shape[0] // 2)
    return [(middle[0] + x * reach, middle[1] + y * reach) for x, y in ((1, 1), (1, -1), (-1, -1))]


def affine(shape: tuple[int, ...], jitter: float, turns: list[float]) -> tuple[tuple[float, ...], ...]:
    """The affine map from a place in the result to its place in the image: two rows (x, y, 1).

    The corners are moved by up to `jitter` pixels along each axis; `turns` are six numbers, 0 to 1.
    """
    still = corners(shape)
    moves = [jitter * (2 * turn - 1) for turn in turns]
    (ax, ay), (bx, by), (cx, cy) = ((x + moves[2 * i], y + moves[2 * i + 1]) for i, (x, y) in enumerate(still))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if abs(area) < 1:  # the corners lie on one line, or there is one pixel
        area = math.copysign(1.0, area)
    rows = []
    for first, second, third in zip(*still, strict=True):
        right = ((second - first) * (cy - ay) - (third - first) * (by - ay)) / area
        down = ((third - first) * (bx - ax) - (second - first) * (cx - ax)) / area
        rows.append((right, down, first - right * ax - down * ay))
    return tuple(rows)


def places(turn: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The columns (or rows) that a row of an affine map reads, int32 (h, w) in 256ths of a pixel."""
    right, down, start = (round(number * (1 << BITS)) for number in turn)
    cut = BITS - (ONE.bit_length() - 1)
    columns, rows = np.arange(shape[1]) * right, np.arange(shape[0]) * down
    return (columns + (rows[:, None] + start + (1 << cut >> 1)) >> cut).astype(np.int32)


def field(
    shape: tuple[int, ...],
    strength: float,
    sigma: float,
    steps: tuple[float, float],
    rng: RandomStream,
    *,
    whole: bool = True,
) -> NDArray[np.int32]:
    """A smooth random field, int32 (h, w) in 256ths of a pixel.

    Args:
        shape: (h, w).
        strength: in pixels; what uniform noise from -1 to 1 is multiplied by once it is smooth.
        sigma: of the Gaussian, in reference pixels.
        steps: size of a reference pixel down and across.
        rng: the sample's random stream.
        whole: noise is of one value per reference pixel, else per pixel.
    """
    factor = _blur.reduction(sigma * min(steps), _blur.WIDEST)
    size = -(-shape[0] // factor), -(-shape[1] // factor)
    noise = rng.raw(-(-size[0] * size[1] // 8)).astype("<u8", copy=False).view(np.uint8)
    (down, across), gain = smoothing(sigma, steps, factor, whole=whole)
    smooth = cv2.sepFilter2D(
        noise[: size[0] * size[1]].reshape(size), cv2.CV_32F, across, down, delta=-127.5, borderType=cv2.BORDER_REFLECT
    )
    extra = EXTRA if factor > 1 else 0
    scale = np.float32(strength * gain * ONE / 128 * (1 << extra))
    moves: NDArray[np.int32] = np.rint(smooth * scale).astype(np.int32)
    if factor == 1:
        return moves
    padded = cv2.copyMakeBorder(moves, 1, 2, 1, 2, cv2.BORDER_REPLICATE)
    fine = np.empty(shape, dtype=np.int32)
    _spread(np.asarray(padded, dtype=np.int32), factor, extra + 2 * factor.bit_length(), fine)
    return fine


def smoothing(
    sigma: float, steps: tuple[float, float], factor: int, *, whole: bool = True
) -> tuple[list[NDArray[np.float32]], float]:
    """Weights of a Gaussian cut off at 3 sigmas, down and across, and the gain.

    The gain makes noise of this grid as strong as noise of one value per reference pixel (or per pixel, where not
    `whole`), whose smoothing by `sigma` divides its deviation by 2 x sqrt(pi) x sigma.
    """
    weights = [_weights(sigma, pixel, factor, whole=whole) for pixel in steps]
    down, across = (float((one * one).sum()) for one in weights)  # of 16-bit fractions: exact
    wide = sigma if whole else sigma * math.sqrt(steps[0] * steps[1])
    gain = 1 / (2 * math.sqrt(math.pi) * wide * math.sqrt(down * across))
    return [one.astype(np.float32) for one in weights], 1.0 if factor == 1 and not whole else gain


def _weights(sigma: float, pixel: float, factor: int, *, whole: bool) -> NDArray[np.float64]:
    samples = _blur.parts(pixel) if factor == 1 and whole else 1
    rounded = _blur.gaussian_weights(sigma * pixel / factor, samples, 3.0)
    weights: NDArray[np.float64] = np.array(rounded) / _blur.ONE
    return weights


@compiled
def _spread(cells: NDArray[np.int32], factor: int, bits: int, out: NDArray[np.int32]) -> None:
    """Fill `out` (h, w) linearly from `cells`, whose second one is the first in the image."""
    double = 2 * factor
    line = np.empty(cells.shape[1], dtype=np.int64)
    for row in range(out.shape[0]):
        cell, part = divmod(2 * row + factor + 1, double)
        above, below = cells[cell], cells[cell + 1]
        for i in range(len(line)):
            line[i] = above[i] * (double - part) + below[i] * part
        for column in range(out.shape[1]):
            at, right = divmod(2 * column + factor + 1, double)
            total = line[at] * (double - right) + line[at + 1] * right
            out[row, column] = (total + (1 << bits >> 1)) >> bits
