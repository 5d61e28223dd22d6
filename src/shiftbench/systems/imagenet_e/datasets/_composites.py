"""Composites: an object cut out of its black ground, brought to a share of a canvas and laid over a photo.

What is seen of an object is its layer: the object times its alpha, and the alpha, as in `shifts._masks`. All in
integers.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.data.resizing import resize_array
from shiftbench.plugins.shifts import _masks

Pixels = NDArray[np.uint8]


def cut(image: Pixels, threshold: int, key: str) -> Pixels:
    """Layer of the pixels brighter than a threshold in a grey image, in its box: uint8 (h', w', 2).

    Raises:
        DataError: nothing is; the message begins with `key`.
    """
    mask = np.where(image > threshold, 255, 0).astype(np.uint8)
    if not mask.any():
        raise DataError(f"{key}: no pixel is brighter than {threshold}, so that there is no object")
    box = _masks.box(__name__, mask)
    place = slice(box.top, box.bottom), slice(box.left, box.right)
    return np.stack([np.minimum(image, mask)[place], mask[place]], axis=-1)


def fit(layer: Pixels, share: float, side: int, margin: int) -> Pixels:
    """A layer whose alpha takes a share of a square canvas; less where it would not fit with a margin.

    Args:
        layer: uint8 (h, w, c), alpha last.
        share: of the canvas, 0 to 1.
        side: of the canvas, in pixels.
        margin: free on each side of the object, in pixels.
    """
    height, width = layer.shape[:2]
    own = int(layer[..., -1].sum(dtype=np.int64)) / 255
    factor = min((share * side * side / own) ** 0.5, (side - 2 * margin) / max(height, width))
    tall, wide = (max(1, round(length * factor)) for length in (height, width))
    parts = (resize_array(layer[..., c], wide, tall) for c in range(layer.shape[2]))
    return np.stack(list(parts), axis=-1)


def compose(background: Pixels, layer: Pixels, down: int, right: int) -> tuple[Pixels, Pixels]:
    """(image, mask) of a layer laid over the middle of a background, moved by some pixels; it stays inside."""
    top, left = (
        min(max((whole - size) // 2 + move, 0), whole - size)
        for whole, size, move in zip(background.shape, layer.shape, (down, right), strict=False)
    )
    return _masks.pasted(background, layer, top, left)
