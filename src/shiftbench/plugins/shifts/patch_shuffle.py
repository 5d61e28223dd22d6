"""Patch shuffle: some patches of a grid change places; what is within a patch stays.

Source: Zhang & Zhu 2019, "Interpreting Adversarially Trained Convolutional Neural Networks",
https://arxiv.org/abs/1905.09797 (patch-shuffling: the image is split into k x k patches, k = 2, 4, 8, which
are put together in random order); Naseer et al. 2021, https://arxiv.org/abs/2105.10497, do it to vision
transformers. Levels are the share of the patches that move (ours): at level 5 all do. Differs: no patch
that takes part stays where it was, and a stronger severity moves those of a weaker one and more. The grid
is 8 x 8 at any size down to 8 px; what does not divide by it, a rim, stays.

Takes raw words: one per patch, to order them.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE

Grid = Annotated[int, Field(ge=1, description="patches per side; at most as many as the side has pixels")]


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream, *, grid: Grid = 8) -> NDArray[np.uint8]:
    """An image with some patches exchanged, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    (rows, columns), (tall, wide) = cells(value.shape, grid)
    count = rows * columns
    order = rng.choice(count)[: round(share * count)]
    source = np.arange(count)
    source[order] = np.roll(order, 1)  # each takes the patch of the one before: none stays
    top, left = (value.shape[0] - rows * tall) // 2, (value.shape[1] - columns * wide) // 2
    shuffled = value.copy()
    inner = shuffled[top : top + rows * tall, left : left + columns * wide]
    patches = inner.reshape(rows, tall, columns, wide, -1).transpose(0, 2, 1, 3, 4)
    moved = patches.reshape(count, tall, wide, -1)[source]
    whole = moved.reshape(rows, columns, tall, wide, -1).transpose(0, 2, 1, 3, 4)
    inner[:] = whole.reshape(inner.shape)
    return shuffled


def cells(shape: tuple[int, ...], grid: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The patches per side (down, across) and the pixels of a patch (tall, wide).

    Raises:
        ParamsError: a grid below 1.
    """
    if grid < 1:
        raise ParamsError(f"patch_shuffle: grid is {grid}; it must be 1 or more")
    rows, columns = min(grid, shape[0]), min(grid, shape[1])
    return (rows, columns), (shape[0] // rows, shape[1] // columns)
