"""Large images cut into square tiles that overlap, with the boxes of each: how aerial images become COCO sets.

Tiles are `side` pixels; the next begins `side` less int(overlap * side) further, and one that would pass the edge is
moved back to it, so that tiles cover the image. A box is cut off at the edges of a tile and dropped there where less
than `visible` of its area is inside.

Source: the rules of SAHI's `slice_coco` (Akyol, Altinuc and Temizel 2022, arXiv:2202.06934), which RWDS's file names
(`512_02`: 512 pixels, overlap 0.2) point to. We differ: an image smaller than a tile is one tile of its own size.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.data.boxes import Box

Pixels = NDArray[np.uint8]


class Tile(NamedTuple):
    """A tile: where its upper left corner lies, its pixels, and its boxes in its own pixels."""

    left: int
    top: int
    pixels: Pixels
    boxes: list[Box]


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Starts of the tiles along one side of an image.

    Args:
        length: of the image, in pixels.
        side: of a tile.
        overlap: share of a tile that the next one has, too.

    Raises:
        ParamsError: a tile without pixels, or an overlap outside 0 to 1 (1 is none).

    Example:
        >>> starts(320, 128, 0.2)
        [0, 103, 192]
    """
    step = side - int(overlap * side)
    if side < 1 or not 0 <= overlap < 1:
        raise ParamsError(f"tiles of {side} pixels with overlap {overlap:g} cannot be cut")
    last = max(0, length - side)
    return [*range(0, last, step), last]


def tiles(image: Pixels, boxes: list[Box], side: int, overlap: float, visible: float) -> Iterator[Tile]:
    """Yield the tiles of an image, row by row.

    Args:
        image: uint8 (h, w) or (h, w, 3).
        boxes: of the image; their `area` shrinks with what is inside.
        side: of a tile, in pixels.
        overlap: share of a tile that the next one has, too.
        visible: least share of a box's area inside of the tile, above 0 to 1.

    Raises:
        ParamsError: tiles that cannot be cut, or a share outside 0 to 1.
    """
    if not 0 < visible <= 1:
        raise ParamsError(f"visible is {visible:g}; expected a share above 0, 1 at most")
    for top in starts(image.shape[0], side, overlap):
        for left in starts(image.shape[1], side, overlap):
            pixels = np.ascontiguousarray(image[top : top + side, left : left + side])
            yield Tile(left, top, pixels, _inside(boxes, left, top, pixels.shape, visible))


def _inside(boxes: list[Box], left: int, top: int, shape: tuple[int, ...], visible: float) -> list[Box]:
    inside = []
    for box in boxes:
        x, y, w, h = box["box"]
        x0, y0 = max(x - left, 0.0), max(y - top, 0.0)
        x1, y1 = min(x - left + w, float(shape[1])), min(y - top + h, float(shape[0]))
        share = max(x1 - x0, 0.0) * max(y1 - y0, 0.0) / (w * h)
        if share >= visible:
            area = {"area": box["area"] * share} if "area" in box else {}
            inside.append({**box, "box": [x0, y0, x1 - x0, y1 - y0], **area})
    return inside
