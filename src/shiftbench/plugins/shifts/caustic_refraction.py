"""Caustic refraction: the image is seen through rippled water with bright caustics.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are
(thickness of the water in pixels of a 224 px image, strength of the light) from `imagenet_c_bar.csv` and
`corrupt.py` of https://github.com/facebookresearch/augmentation-corruption. Caustics are a net of sines of sines,
softened by a Gaussian of one pixel; their slope is the surface's: a ray of refractive index 4 is bent by
it, and light is added on one side of a ridge, taken on the other. Kept as there: slopes below 2.6 degrees bend
nothing, and outside the image the net is flat at 0, which draws a line along the border. Differs: softening and
slopes are relative to 224 px; sines and powers from polynomials, 16-bit caustics, 256ths of a pixel;
rounded, not truncated.

Takes two 16-bit words: time and size of the net.
"""

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _sines
from shiftbench.plugins.shifts._warp import warp

FIELD = "image"
LEVELS = {1: (26.32, 0.47), 2: (35.84, 0.64), 3: (54.88, 0.98), 4: (73.92, 1.32), 5: (102.48, 1.83)}
RANGE = _levels.RANGE
SOFT = 1 << 15  # the sum of the Gaussian's weights
ROUNDS = tuple(1 - 3.5 / number for number in (1, 2, 3, 4, 5))
POWER = tuple(
    map(
        np.float32,
        (-0.00648049497, 0.33876031637, 1.34828543663, -1.54632246494, 1.57565641403, -0.96977001429, 0.26077821851),
    )
)
"""Coefficients of 1, c, ... c**6 of c**1.4 for c from 0.2 to 0.8, where all are: 1.3e-6 off at most."""


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image under water, uint8 (h, w) or (h, w, 3)."""
    thickness, light = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    pixel = _levels.scale(value.shape)
    net = caustics(value.shape[:2], rng.words16(2).tolist())
    soft = softened(net, pixel)
    map_x, map_y = (np.empty(net.shape, dtype=np.int32) for _ in range(2))
    added = np.empty(net.shape, dtype=np.int16)
    flat = np.pad(soft, 1)
    constants = np.array([pixel / 65535, thickness * pixel * 256, light * 255], dtype=np.float32)
    _refract(flat, constants, map_x, map_y, added)
    bent = warp(value, map_x, map_y, border="constant")
    layer = cv2.merge([added] * 3) if value.ndim == 3 else added
    lit = cv2.add(bent, layer, dtype=cv2.CV_8U)
    return np.asarray(lit, dtype=np.uint8).reshape(value.shape)


def caustics(shape: tuple[int, int], drawn: list[int]) -> NDArray[np.uint16]:
    """A net of caustics from 0 to 65,535, uint16 of `shape`.

    Args:
        shape: (h, w).
        drawn: two 16-bit words, the time (0.5 to 2) and the size (0.75 to 1.25 of the shorter side).
    """
    time, size = ((word + 0.5) / (1 << 16) for word in drawn)
    pixel = 1 / ((0.75 + 0.5 * size) * min(shape))
    rows, columns = (angles(count, pixel) for count in shape)
    state = np.empty((3, *shape), dtype=np.float32)
    state[0], state[1], state[2] = rows[0, :, None], columns[0], 1
    for factor in ROUNDS:
        turn = (0.5 + 1.5 * time) * factor / (2 * math.pi) % 1
        _ripple(rows, columns, np.float32(turn), _sines.SINE, state)
    net = np.empty(shape, dtype=np.uint16)
    _brighten(state[2], POWER, net)
    return net


def angles(count: int, pixel: float) -> NDArray[np.float32]:
    """The angle of each row (column) in turns, and 0.005 x its size in radians, float32 (2, count).

    An angle of the original is -250 plus a whole turn over the net's size.
    """
    places = np.arange(count, dtype=np.float32) * np.float32(pixel)
    places -= np.floor(places)
    sizes = (np.float32(250) - places * np.float32(2 * math.pi)) * np.float32(0.005)
    return np.stack((places + np.float32(-250 / (2 * math.pi) % 1), sizes))


def softened(net: NDArray[np.uint16], pixel: float) -> NDArray[np.uint16]:
    """The net after a Gaussian of `pixel` pixels; beyond an edge lies its mirror image."""
    weights = gaussian(pixel)
    for _ in range(2):  # down, then across
        reach = len(weights) // 2
        framed = cv2.copyMakeBorder(net, reach, reach, 0, 0, cv2.BORDER_REFLECT)
        soft = np.empty_like(net)
        _filter(np.asarray(framed, dtype=np.uint16), weights, soft)
        net = np.ascontiguousarray(soft.T)
    return net


@lru_cache(maxsize=64)
def gaussian(sigma: float) -> NDArray[np.uint32]:
    """Whole weights that sum to 32,768, four deviations far; decimal exponentials, equal everywhere."""
    reach = int(4 * sigma + 0.5)
    heights = [(-((Decimal(i) / Decimal(sigma)) ** 2) / 2).exp() for i in range(reach + 1)]
    share = SOFT / (2 * sum(heights) - heights[0])
    half = [round(height * share) for height in heights]
    half[0] = SOFT - 2 * sum(half[1:])
    return np.array(half[:0:-1] + half, dtype=np.uint32)


@compiled
def _filter(framed: NDArray[np.uint16], weights: NDArray[np.uint32], out: NDArray[np.uint16]) -> None:
    """Fill `out` (h, w) with weighted means of columns."""
    total = np.empty(out.shape[1], dtype=np.uint32)
    for row in range(out.shape[0]):
        total[:] = 1 << 14
        for tap in range(len(weights)):
            seen, weight = framed[row + tap], weights[tap]
            for column in range(len(total)):
                total[column] += np.uint32(seen[column]) * weight
        for column in range(len(total)):
            out[row, column] = total[column] >> np.uint32(15)


@compiled
def _ripple(
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    time: np.float32,
    sine: tuple[np.float32, ...],
    state: NDArray[np.float32],
) -> None:
    """Move both angles, `state[0]` and `state[1]`, once and add to the light `state[2]`; (h, w) each."""
    half, quarter, radian = np.float32(0.5), np.float32(0.25), np.float32(0.15915494)
    first, second, third, fourth, fifth = sine

    def sin(turns: np.float32) -> np.float32:
        t = np.float32(turns - np.floor(turns + half))
        s = np.float32(t * t)
        return np.float32(t * (first + s * (second + s * (third + s * (fourth + s * fifth)))))

    for row in range(state.shape[1]):
        down, tall = rows[0, row], rows[1, row]
        for column in range(state.shape[2]):
            right, wide = columns[0, column], columns[1, column]
            x, y = state[0, row, column], state[1, row, column]
            moved_x = down + radian * (sin(time - x + quarter) + sin(time + y))
            moved_y = right + radian * (sin(time - y) + sin(time + x + quarter))
            state[0, row, column], state[1, row, column] = moved_x, moved_y
            a, b = sin(moved_x + time), sin(moved_y + time + quarter)
            across, along = tall * b, wide * a
            length = np.sqrt(across * across + along * along + np.float32(1e-30))
            state[2, row, column] += abs(a * b) / length


@compiled
def _brighten(total: NDArray[np.float32], power: tuple[np.float32, ...], net: NDArray[np.uint16]) -> None:
    """Fill `net` (h, w) with (1.17 - c**1.4)**8, c a fifth of `total`."""
    one, half = np.float32(1), np.float32(0.5)
    p0, p1, p2, p3, p4, p5, p6 = power
    for row in range(net.shape[0]):
        for column in range(net.shape[1]):
            c = total[row, column] * np.float32(0.2)
            curve = p0 + c * (p1 + c * (p2 + c * (p3 + c * (p4 + c * (p5 + c * p6)))))
            bright = np.float32(1.17) - curve
            bright *= bright
            bright *= bright
            bright *= bright
            net[row, column] = np.int32(min(bright, one) * np.float32(65535) + half)


@compiled
def _refract(
    net: NDArray[np.uint16],
    constants: NDArray[np.float32],
    map_x: NDArray[np.int32],
    map_y: NDArray[np.int32],
    added: NDArray[np.int16],
) -> None:
    """Fill the places (h, w) to read at, in 256ths of a pixel, and the light to add; the net has a frame."""
    height, width = map_x.shape
    slope, thickness, light = constants
    one, half, index = np.float32(1), np.float32(0.5), np.float32(0.25)  # 1 / refractive index
    least = np.float32(1 - 1e-3)
    for row in range(height):
        above, here, below = net[row], net[row + 1], net[row + 2]
        for column in range(width):
            down = np.float32(np.int32(below[column + 1]) - np.int32(above[column + 1])) * slope
            across = np.float32(np.int32(here[column + 2]) - np.int32(here[column])) * slope
            steep = down * down + across * across
            upright = one / np.sqrt(one + steep)  # cosine of the angle between ray and surface
            inner = index * upright
            bend = np.sqrt(one - steep * inner * inner) - inner
            bend = thickness * bend * upright if upright < least else np.float32(0)
            map_y[row, column] = row * 256 + np.int32(np.floor(bend * down + half))
            map_x[row, column] = column * 256 + np.int32(np.floor(bend * across + half))
            added[row, column] = np.int32(np.floor((down - across) * light + half))
