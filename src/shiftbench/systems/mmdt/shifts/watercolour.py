"""Watercolour: the image fades into flat, pale washes with darker borders on white paper.

Source: the style `watercolour_painting` of MMDT, arXiv 2503.14827, whose images are on the hub; how they were made is
not said. Ours: two passes of mean shift over colours that are at most `near` away within `wash` pixels (of images of
128 px), a fifth of white paper over it, and the pigment that gathers at borders: half of Sobel's gradient of the
washes is taken off. Levels are the share of the rendition; at level 5 it is all. Integers; takes no random words.
"""

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
Wash = Annotated[int, Field(ge=0, description="half the width of a wash, in pixels of an image of 128 px")]
Near = Annotated[int, Field(ge=0, description="difference of colours that one wash covers, in grey levels")]
PAPER, PIGMENT = 51, 8
"""White over the washes, in 255ths; what a gradient is divided by (Sobel's answer to a step of one is 4)."""


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, wash: Wash = 7, near: Near = 30
) -> NDArray[np.uint8]:
    """An image as a watercolour, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: not used.
        wash: half the width of a wash.
        near: difference of colours that one wash covers.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    radius = min(_renditions.pixels(wash, value.shape), 12)  # cost grows with its square
    washes = _renditions.smoothed(image, radius, near, 2)
    grey = _renditions.grey(washes).astype(np.uint8)
    across, down = (
        np.abs(cv2.Sobel(grey, cv2.CV_16S, *way, ksize=3, borderType=cv2.BORDER_REPLICATE)) for way in ((1, 0), (0, 1))
    )
    border = (np.maximum(across, down) // PIGMENT).astype(np.int64)[..., None]
    pale = (washes.astype(np.int64) * (255 - PAPER) + 255 * PAPER + 127) // 255
    return _renditions.mixed(value, np.clip(pale - border, 0, 255).astype(np.uint8), part)
