"""A star: rays of random lengths around a point, as both kinds of sparkles have them.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.plugins.shifts._polar import polar

FEWEST, MOST = 50, 200  # rays: 50 to 199
SPREAD = 0.25  # deviation of the rays' lengths, relative to their mean


def rays(word: int) -> int:
    """The number of rays of a 16-bit word."""
    return FEWEST + (word * (MOST - FEWEST) >> 16)


def lengths(drawn: NDArray[np.float32], mean: float) -> NDArray[np.float32]:
    """Lengths of rays in pixels, float32, of standard normal values."""
    return np.float32(mean) + np.float32(SPREAD * mean) * drawn


def whitened(value: NDArray[np.uint8], kept: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image mixed with white; `kept` (h, w) is the image's share, 0 to 1."""
    clean = np.ascontiguousarray(value)
    share = cv2.merge([kept] * 3) if value.ndim == 3 else kept
    white = np.empty_like(clean)
    _whiten(clean.ravel(), np.ravel(share), white.reshape(-1))
    return white


def star(
    shape: tuple[int, int], centre: tuple[float, float], reach: NDArray[np.float32], pixel: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nearness of each pixel, and its offset from the middle of its ray; float32 (h, w) each.

    Args:
        shape: (h, w).
        centre: row and column.
        reach: length of each ray in pixels, float32 (rays,).
        pixel: size of a pixel of a 224 px image.

    Returns:
        (length / distance)**2, the length blended between two rays, and the square of the distance from
        the middle between the two, 0 to 1/4 (their width is 1).
    """
    squares, turns = polar(shape, *centre)
    closed = np.append(reach, reach[:1])
    near, off = np.empty_like(squares), np.empty_like(squares)
    _star(squares, turns, closed, np.float32(1e-4 * pixel * pixel), near, off)
    return near, off


@compiled
def _star(
    squares: NDArray[np.float32],
    turns: NDArray[np.float32],
    lengths: NDArray[np.float32],
    least: np.float32,
    near: NDArray[np.float32],
    off: NDArray[np.float32],
) -> None:
    height, width = squares.shape
    rays = len(lengths) - 1
    count, half = np.float32(rays), np.float32(0.5)
    for row in range(height):
        for column in range(width):
            place = (turns[row, column] + half) * count
            ray = min(np.int32(place), np.int32(rays - 1))
            part = place - np.float32(ray)
            length = lengths[ray] + part * (lengths[ray + 1] - lengths[ray])
            near[row, column] = length * length / (squares[row, column] + least)
            off[row, column] = (part - half) * (part - half)


@compiled
def _whiten(clean: NDArray[np.uint8], kept: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    half = np.float32(0.5)
    for place in range(len(clean)):
        missing = np.float32(255 - np.int32(clean[place])) * kept[place]
        out[place] = 255 - np.int32(missing + half)
