"""Occlusion by squares of random texture, which hide a share of the image.

Source: the artificial occluders of CompositionalNets (Kortylewski et al., CVPR 2020, arXiv:2003.04490, section 4: noise
and textures over the object), at the shares of `occlusion`; squares and textures are ours, for images too small for
things. Each has a side of 25 to 50 percent of the image's shorter one and lies wholly within it; its texture is of
cells of 1, 2 or 3 pixels with grey levels (colours) of their own. A stronger severity keeps those that are there, the
last one grows to its full size, then the next appears, so that the hidden share is met within what one pixel of the
last one's side hides (3 percent of the image at 28 px).

Takes raw words: one per square (side, down, right, cell), and those of its texture.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
MOST = 200


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with squares over it, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    occluded = np.ascontiguousarray(value).copy()
    hidden = np.zeros(value.shape[:2], dtype=bool)
    target_pixels = round(share * hidden.size)
    for _ in range(MOST):
        if np.count_nonzero(hidden) >= target_pixels:
            break
        top, left, texture = _square(value.shape, rng)
        side = _fitting(hidden, top, left, len(texture), target_pixels)
        place = slice(top, top + side), slice(left, left + side)
        occluded[place] = texture[:side, :side]
        hidden[place] = True
        if side < len(texture):
            break
    return occluded


def _square(shape: tuple[int, ...], rng: RandomStream) -> tuple[int, int, NDArray[np.uint8]]:
    """Corner of a square, and its texture, (side, side) or (side, side, 3)."""
    size_draw, row_draw, column_draw, edge_draw = (int(word) for word in rng.words16(4))
    side = max(1, (min(shape[:2]) * (65536 + size_draw)) >> 18)
    edge = 1 + (3 * edge_draw >> 16)
    top, left = ((length - side + 1) * word >> 16 for length, word in zip(shape, (row_draw, column_draw), strict=False))
    per_side = -(-side // edge)
    levels = rng.integers(0, 256, (per_side, per_side, *shape[2:])).astype(np.uint8)
    return top, left, levels.repeat(edge, 0).repeat(edge, 1)[:side, :side]


def _fitting(hidden: NDArray[np.bool_], top: int, left: int, side: int, target_pixels: int) -> int:
    """The side, at most the square's, whose count of hidden pixels is nearest to `target_pixels`."""
    covered = int(np.count_nonzero(hidden))
    best, error = 0, target_pixels - covered
    for candidate in range(1, side + 1):
        free = np.count_nonzero(~hidden[top : top + candidate, left : left + candidate])
        if abs(covered + int(free) - target_pixels) < error:
            best, error = candidate, abs(covered + int(free) - target_pixels)
    total = covered + int(np.count_nonzero(~hidden[top : top + side, left : left + side]))
    return side if total <= target_pixels else best
