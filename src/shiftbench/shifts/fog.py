"""Fog: a plasma fractal is laid over the image, which is darkened to keep its brightest value.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are (amount,
decay of the fractal's detail) from `make_imagenet_c.py`, the fractal is the diamond-square algorithm of
https://github.com/FLHerne/mapgen. Differs: the map is the power of two at or above the longer side (there
256 for all), so that any size works and fog has the same shapes relative to the image; one map for all
severities of a sample, of which only amount and detail change; rounded, not truncated.

Takes 16-bit words: one per map point but the first, in rounds from coarse to fine; each round takes
its squares, then its upper, then its left diamonds. Floats: float32 sums, products and quotients of
single numbers only, which are the same on every CPU.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.rng import Words
from shiftbench.shifts import _levels

FIELD = "image"
LEVELS = {1: (1.5, 2.0), 2: (2.0, 2.0), 3: (2.5, 1.7), 4: (2.5, 1.5), 5: (3.0, 1.4)}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: NDArray[np.uint8], severity: float, words: Words) -> NDArray[np.uint8]:
    """Return a foggy copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    amount, decay = _levels.at(__name__, LEVELS, severity, zero=(0.0, 2.0))
    brightest = int(value.max())
    if amount == 0 or brightest == 0:  # the brightest value is kept: black stays black
        return value.copy()
    height, width = value.shape[:2]
    side = 1 << (max(height, width) - 1).bit_length()
    gain = np.float32(brightest / (brightest + 255 * amount))
    fog = plasma(side, decay, words)[:height, :width] * np.float32(255 * amount) * gain
    foggy = value * gain
    foggy += cv2.merge([fog] * 3) if value.ndim == 3 else fog
    rounded: NDArray[np.uint8] = np.rint(foggy, out=foggy).astype(np.uint8)
    return rounded


def plasma(side: int, decay: float, words: Words) -> NDArray[np.float32]:
    """Return a height map float32 (side, side) from 0 to 1; `side` is a power of two.

    Each round halves the spacing of known points: a new point is the mean of its four neighbours
    (the map wraps around) plus a uniform wobble, whose reach shrinks with the square of `decay`.
    """
    field = np.zeros((1, 1), dtype=np.float32)
    reach = 100.0 * 100.0
    while len(field) < side:
        field = _refined(field, np.float32(reach), words)
        reach /= decay * decay
    lowest = field.min()
    spread = field.max() - lowest
    return (field - lowest) / spread if spread > 0 else field


def _refined(corners: NDArray[np.float32], reach: np.float32, words: Words) -> NDArray[np.float32]:
    """Return a map of twice the points per side."""
    drawn = words.words16(3 * corners.size).astype(np.float32).reshape(3, *corners.shape)
    wobble = (drawn - np.float32(32767.5)) * (reach / np.float32(32768))
    quarter = np.float32(0.25)
    rows, across = corners + _after(corners, 0), corners + _after(corners, 1)
    centres = (rows + _after(rows, 1)) * quarter + wobble[0]
    finer = np.empty((2 * len(corners), 2 * len(corners)), dtype=np.float32)
    finer[::2, ::2] = corners
    finer[1::2, 1::2] = centres
    finer[::2, 1::2] = (centres + _before(centres, 0) + across) * quarter + wobble[1]
    finer[1::2, ::2] = (centres + _before(centres, 1) + rows) * quarter + wobble[2]
    return finer


def _after(field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the next point along an axis, the first after the last (np.roll is 5 times slower)."""
    return np.concatenate(
        (field[1:], field[:1]) if axis == 0 else (field[:, 1:], field[:, :1]), axis
    )


def _before(field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.concatenate(
        (field[-1:], field[:-1]) if axis == 0 else (field[:, -1:], field[:, :-1]), axis
    )
