"""Occlusion: grey patches, or grey bars, hide a share of the image.

Source: Naseer et al. 2021, "Intriguing Properties of Vision Transformers",
https://arxiv.org/abs/2105.10497, section 3.1 (random PatchDrop: a random subset of the 14 x 14 patches
of 16 px at 224 px is dropped; information loss in steps of 10 %). Levels are the share of patches
that is hidden. Differs: the patches are mid-grey (there black), as after the usual normalisation; a
stronger severity hides more patches and keeps those already hidden. The grid is 14 x 14 at any size down to 14 px.

Takes raw words: one per patch (or bar), to order them; bars take one 16-bit word before (which way).
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
Kind = Annotated[
    Literal["patches", "bars"], Field(description="hide patches of a grid, or whole rows or columns of it")
]
Grid = Annotated[int, Field(ge=1, description="patches or bars per side; at most as many as the side has pixels")]
Fill = Annotated[int, Field(ge=0, le=255, description="grey level of what is hidden")]
KINDS = ("patches", "bars")


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    kind: Kind = "patches",
    grid: Grid = 14,
    fill: Fill = 128,
) -> NDArray[np.uint8]:
    """An image with a share of it hidden, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    check(kind, grid, fill)
    height, width = value.shape[:2]
    cells = (min(grid, height), min(grid, width))
    hidden = _bars(cells, share, rng) if kind == "bars" else _patches(cells, share, rng)
    shown = value.copy()
    for row, column in np.argwhere(hidden):
        top, left = -(-row * height // cells[0]), -(-column * width // cells[1])
        bottom, right = -(-(row + 1) * height // cells[0]), -(-(column + 1) * width // cells[1])
        shown[top:bottom, left:right] = fill
    return shown


def check(kind: str, grid: int, fill: int) -> None:
    """Refuse options outside what is allowed.

    Raises:
        ParamsError: one of them is.
    """
    if kind not in KINDS:
        raise ParamsError(f"occlusion: kind is {kind!r}; allowed are {' and '.join(KINDS)}")
    if grid < 1:
        raise ParamsError(f"occlusion: grid is {grid}; it must be 1 or more")
    if not 0 <= fill <= 255:
        raise ParamsError(f"occlusion: fill is {fill}; allowed are 0 to 255")


def _patches(cells: tuple[int, int], share: float, rng: RandomStream) -> NDArray[np.bool_]:
    count = cells[0] * cells[1]
    hidden = np.zeros(count, dtype=bool)
    hidden[rng.choice(count)[: round(share * count)]] = True
    return hidden.reshape(cells)


def _bars(cells: tuple[int, int], share: float, rng: RandomStream) -> NDArray[np.bool_]:
    axis = int(rng.uniform() < 0.5)
    hidden = np.zeros(cells[axis], dtype=bool)
    hidden[rng.choice(cells[axis])[: round(share * cells[axis])]] = True
    return np.broadcast_to(hidden[:, None] if axis == 0 else hidden, cells)
