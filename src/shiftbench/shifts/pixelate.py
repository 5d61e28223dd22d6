"""Pixelate: the image is shrunk by averaging and enlarged again, each small pixel to a block.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the side of the
small image relative to the image, from `make_imagenet_c.py`, which calls Pillow's box filter both ways.
Differs: nothing at 224 px; at any other size the side is that share of the image's own, cut to whole
pixels. Pillow's 8-bit resampling is in integers. Takes no random words.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftbench.rng import Words
from shiftbench.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.6, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: NDArray[np.uint8], severity: float, words: Words) -> NDArray[np.uint8]:
    """Return a pixelated copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    height, width = value.shape[:2]
    small = (small_side(width, share), small_side(height, share))
    image = Image.fromarray(np.ascontiguousarray(value)).resize(small, Image.Resampling.BOX)
    # enlarging by the box filter, as the original does, shows the nearest pixel: the same, sooner
    return np.array(image.resize((width, height), Image.Resampling.NEAREST))


def small_side(side: int, share: float) -> int:
    """Return a side of the small image, 1 pixel at least."""
    return max(int(side * share), 1)
