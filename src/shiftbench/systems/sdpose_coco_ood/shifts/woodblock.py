"""Woodblock print: the image fades into one that is printed in eight inks with dark outlines on paper.

Source: ours, for the Ukiyo-e subset of COCO-OOD (SDPose, arXiv:2509.24980, v2), which CycleGAN and StyTR2 rendered.
One pass of means over near colours, each pixel in the nearest of `INKS` (sum of squares), black where it is more than
`ink` darker than the mean around it, and all of it on yellowish paper. Levels are the share of the rendition; at level
5 it is all. Integers; takes no random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
Ink = Annotated[
    int, Field(ge=0, le=255, description="grey levels below the mean around a pixel from which it is outlined")
]
INKS = np.array(
    [(28, 30, 40), (38, 62, 104), (92, 138, 160), (170, 62, 48), (208, 130, 84), (232, 206, 150), (104, 122, 82),
     (246, 240, 226)]
)  # fmt: skip
"""Sumi black, Prussian blue, pale blue, vermilion, ochre red, straw, moss green, white."""
PAPER = np.array([250, 236, 206])
"""Colour of white paper, of 255."""


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream, *, ink: Ink = 9) -> NDArray[np.uint8]:
    """An image as a woodblock print, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    radius = min(_renditions.pixels(3, value.shape), 12)
    flat = _renditions.smoothed(image, radius, 36, 1).astype(np.int64)
    distances = ((flat[:, :, None] - INKS) ** 2).sum(axis=3)
    printed = INKS[distances.argmin(axis=2)]
    luminance = _renditions.grey(image)
    outlined = luminance < _renditions.mean(luminance, _renditions.pixels(3, value.shape)) - ink
    printed = np.where(outlined[..., None], INKS[0], printed) * PAPER // 255
    return _renditions.mixed(value, printed.astype(np.uint8), part)
