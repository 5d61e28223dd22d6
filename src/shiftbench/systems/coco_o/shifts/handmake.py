"""Handmake: the image fades into one that is laid of felt squares.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; handcrafted
things there.
Ours: means over blocks of `block` pixels (of images of 128 px), each lighter at its upper left edges and darker at
the lower right ones, with the fibres of felt (24 grey levels up or down at most). Levels are the share of the
rendition; at level 5 it is all. Integers.

Takes 16-bit words, one a pixel.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
EDGE, FIBRE = 28, 24


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    block: Annotated[int, Field(ge=1, description="side of a square, in pixels of an image of 128 px")] = 4,
) -> NDArray[np.uint8]:
    """An image as squares of felt, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: the sample's random stream.
        block: side of a square, in pixels of an image of 128 px; 8 is stronger.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    height, width = image.shape[:2]
    side = max(2, _renditions.pixels(block, value.shape))
    rows, columns = np.arange(height), np.arange(width)
    squares = _means(image.astype(np.int64), side)[rows[:, None] // side, columns[None] // side]
    light = (rows % side == 0)[:, None] | (columns % side == 0)[None]
    dark = (rows % side == side - 1)[:, None] | (columns % side == side - 1)[None]
    fibres = rng.words16(height * width).reshape(height, width).astype(np.int64)
    relief = EDGE * (light.astype(np.int64) - dark) + (fibres * (2 * FIBRE + 1) >> 16) - FIBRE
    rendition = np.clip(squares + relief[..., None], 0, 255).astype(np.uint8)
    return _renditions.mixed(value, rendition, part)


def _means(image: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """The mean of each block, int64 (rows, columns, 3); blocks at the end may be smaller."""
    total = image
    for axis in (0, 1):
        total = np.add.reduceat(total, np.arange(0, image.shape[axis], side), axis=axis)
    sizes = [np.diff([*range(0, length, side), length]) for length in image.shape[:2]]
    means: NDArray[np.int64] = total // (sizes[0][:, None] * sizes[1][None])[..., None]
    return means
