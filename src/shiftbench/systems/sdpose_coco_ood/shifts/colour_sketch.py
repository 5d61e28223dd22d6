"""Colour sketch: the image fades into pencil lines over a pale fill.

Source: ours, for the sketch subset of COCO-OOD (SDPose, arXiv:2509.24980, v2), which an image-editing model rendered.
The fill is the image, flattened by one pass of means over near colours and brought `pale` 256ths of the way to white;
lines are dark where a pixel is darker than the mean around it. Levels are the share of the rendition; at level 5 it is
all. Integers; takes no random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
Pale = Annotated[int, Field(ge=0, le=256, description="paleness of the fill: 0 the colours themselves, 256 white")]
DENSITY = 5
"""Grey levels by which a line is darker for one that its pixel is below the mean."""


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream, *, pale: Pale = 190) -> NDArray[np.uint8]:
    """An image as a colour sketch, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    radius = min(_renditions.pixels(4, value.shape), 12)
    flat = _renditions.smoothed(image, radius, 40, 1).astype(np.int64)
    fill = (flat * (256 - pale) + 255 * pale) >> 8
    luminance = _renditions.grey(image)
    darkness = _renditions.mean(luminance, _renditions.pixels(3, value.shape)) - luminance
    lines = np.clip(255 - DENSITY * darkness, 40, 255)[..., None]
    return _renditions.mixed(value, (fill * lines // 255).astype(np.uint8), part)
