"""Pixelate: the image is shrunk by averaging and enlarged again, each small pixel to a block.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the side of the
small image relative to the image, from `make_imagenet_c.py`, which calls Pillow's box filter both ways.
Here it is done in Pillow's integers: means across, then down, each rounded to whole grey levels. Differs:
nothing at 224 px (tested); at any other size the side is that share of the image's own, cut to whole
pixels, and a pixel whose middle lies on the border of two small ones belongs to the first and shows it. With
`enlarge: nearest`, as in `imagecorruptions`, it shows the one on whose side it comes to lie when Pillow adds up
places in floating point. Takes no random words.
"""

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.6, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.25}
RANGE = _levels.RANGE
Enlarge = Annotated[
    Literal["box", "nearest"],
    Field(description="enlarge as ImageNet-C does, or as `imagecorruptions`; they differ only between two blocks"),
]
ENLARGE = ("box", "nearest")
BITS = 22  # fractional bits of Pillow's weights

Grid = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int32], NDArray[np.uint32]]


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, enlarge: Enlarge = "box"
) -> NDArray[np.uint8]:
    """A pixelated copy of an image, uint8 (h, w) or (h, w, 3)."""
    if enlarge not in ENLARGE:
        raise ParamsError(f"pixelate: enlarge is {enlarge!r}; {suggest(enlarge, ENLARGE)}")
    (share,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    height, width = value.shape[:2]
    channels = value.shape[2] if value.ndim == 3 else 1
    rows = np.ascontiguousarray(value).reshape(height, width * channels)
    down, across = grid(height, share, 1, enlarge), grid(width, share, channels, enlarge)
    small = np.empty((len(down[0]), len(across[0])), dtype=np.int32)
    blocks = np.empty_like(rows)
    _shrink(rows, channels, down, across, small)
    _enlarge(small, down, across, blocks)
    return blocks.reshape(value.shape)


@lru_cache(maxsize=256)
def grid(side: int, share: float, channels: int = 1, enlarge: str = "box") -> Grid:
    """(starts, ends, weights, shown) of the small pixels along one side of an image.

    Args:
        side: pixels of the image.
        share: of it, that the small image has.
        channels: that lie interleaved; all four count in values, not in pixels.
        enlarge: one of ENLARGE.

    Returns:
        starts, ends: where the values lie that each small value is the mean of (every `channels`-th).
        weights: 1 / how many these are, in 2**22nds.
        shown: the small value that each value of the result shows.
    """
    small = max(int(side * share), 1)
    owner = ((2 * np.arange(side) + 1) * small - 1) // (2 * side)  # in which a pixel's middle lies
    edges = np.searchsorted(owner, np.arange(small + 1))
    weights = (0.5 + (1 << BITS) / np.diff(edges)).astype(np.int32)
    seen = owner if enlarge == "box" else _nearest(side, small)
    starts, ends, shown = (
        (pixels[:, None] * channels + np.arange(channels)).ravel().astype(np.uint32)
        for pixels in (edges[:-1], edges[1:], seen)
    )
    return starts, ends, np.repeat(weights, channels), shown


def _nearest(side: int, small: int) -> NDArray[np.int64]:
    """The small pixel that each one shows: places added up one after the other, in double precision."""
    steps = np.full(side, small / side)
    steps[0] /= 2
    return np.cumsum(steps).astype(np.int64)


@compiled
def _shrink(rows: NDArray[np.uint8], channels: int, down: Grid, across: Grid, small: NDArray[np.int32]) -> None:
    """Fill `small` (h', w' * channels) from `rows` (h, w * channels)."""
    (tops, bottoms, heights, _), (starts, ends, weights, _) = down, across
    half = np.int32(1 << 21)
    before = np.zeros(rows.shape[1] + channels, dtype=np.int32)  # sums of what comes before each
    for block in range(len(small)):
        means = small[block]
        means[:] = 0
        for row in range(tops[block], bottoms[block]):
            for channel in range(channels):
                total = np.int32(0)
                for i in range(channel, rows.shape[1], channels):
                    total += rows[row, i]
                    before[i + channels] = total
            for i in range(len(means)):
                part = np.int32(before[ends[i]] - before[starts[i]])
                means[i] += (part * weights[i] + half) >> 22
        for i in range(len(means)):
            means[i] = (means[i] * heights[block] + half) >> 22


@compiled
def _enlarge(small: NDArray[np.int32], down: Grid, across: Grid, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w * channels) from `small` (h', w' * channels)."""
    rows, columns = down[3], across[3]
    for row in range(len(out)):
        if row and rows[row] == rows[row - 1]:
            out[row] = out[row - 1]
            continue
        for i in range(len(columns)):
            out[row, i] = small[rows[row], columns[i]]
