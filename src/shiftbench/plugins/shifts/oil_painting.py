"""Oil painting: the image fades into flat strokes of colour.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; paintings there.
Ours: three passes of mean shift over colours that are at most `near` away within `stroke` pixels (of images of 128
px), and a median over 3 x 3. Levels are the share of the rendition; at level 5 it is all. Integers; takes no random
words.
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

Stroke = Annotated[int, Field(ge=1, description="radius of a stroke, in pixels of an image of 128 px")]
Near = Annotated[
    int, Field(ge=0, le=255, description="largest difference of two colours of one stroke, in grey levels")
]


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, stroke: Stroke = 5, near: Near = 36
) -> NDArray[np.uint8]:
    """An image as a painting, uint8 (h, w) or (h, w, 3)."""
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    radius = min(_renditions.pixels(stroke, value.shape), 12)  # cost grows with its square
    strokes = _renditions.smoothed(image, radius, near, 3)
    return _renditions.mixed(value, np.asarray(cv2.medianBlur(strokes, 3), np.uint8), part)
