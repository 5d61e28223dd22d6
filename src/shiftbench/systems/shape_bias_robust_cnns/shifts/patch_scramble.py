"""Patch scramble: the patches of a grid in one fixed order, the same for every picture; what is within one stays.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373: 2 x 2 patches of 112 px in the order that NumPy's legacy
generator permutes them in with seed 212, `scrimble_img` of https://github.com/anguyen8/shape-bias. It seeds and
permutes once for each patch that it cuts; the last time decides, so that place i shows patch `[2, 3, 1, 0][i]`, and
none stays. With another grid or seed some may. `patch_shuffle` is the graded one, with an order for each picture. What
does not divide by the grid, a rim, stays. The severity is the share of the scrambled picture in the mixture, ours; at 1
it is theirs. Takes no random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import fields
from shiftbench.plugins.shifts import _levels, patch_shuffle
from shiftbench.systems.shape_bias_robust_cnns.shifts._blend import blend

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1.0)


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    grid: Annotated[int, Field(ge=1, description="patches per side")] = 2,
    seed: fields.Seed = 212,
) -> NDArray[np.uint8]:
    """A scrambled image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 1.
        ParamsError: a grid below 1.
    """
    _levels.check(__name__, severity, RANGE)
    (rows, columns), (tall, wide) = patch_shuffle.cells(value.shape, grid)
    top, left = (value.shape[0] - rows * tall) // 2, (value.shape[1] - columns * wide) // 2
    scrambled = value.copy()
    for place, patch in enumerate(permuted(rows * columns, seed)):
        (to_y, to_x), (y, x) = divmod(place, columns), divmod(int(patch), columns)
        scrambled[_span(top, to_y, tall), _span(left, to_x, wide)] = value[_span(top, y, tall), _span(left, x, wide)]
    return blend(value, scrambled, severity)


def _span(first: int, number: int, length: int) -> slice:
    return slice(first + number * length, first + (number + 1) * length)


def permuted(count: int, seed: int) -> NDArray[np.int64]:
    """The order of patches that NumPy's legacy generator gives; its stream is frozen."""
    return np.random.RandomState(seed).permutation(count).astype(np.int64)
