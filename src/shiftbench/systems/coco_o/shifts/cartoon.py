"""Cartoon: the image fades into flat colours with black outlines.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; cartoons there.
Ours: one pass of means over near colours, then `colours` levels of each channel, and black where a pixel is more than
`ink` darker than the mean around it. Levels are the share of the rendition; at level 5 it is all. Integers; takes no
random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    colours: Annotated[int, Field(ge=2, description="levels of each channel")] = 5,
    ink: Annotated[int, Field(ge=0, description="grey levels below the mean around it that make a pixel black")] = 7,
) -> NDArray[np.uint8]:
    """An image as a cartoon, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: not used.
        colours: levels of each channel, at least 2.
        ink: grey levels below the mean around it from which a pixel is black.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    radius = min(_renditions.pixels(3, value.shape), 12)
    flat = _renditions.smoothed(image, radius, 30, 1).astype(np.int64)
    steps = max(1, colours - 1)
    flat = (flat * steps + 127) // 255 * 255 // steps
    luminance = _renditions.grey(image)
    outline = luminance < _renditions.mean(luminance, _renditions.pixels(4, value.shape)) - ink
    rendition = np.where(outline[..., None], 0, flat).astype(np.uint8)
    return _renditions.mixed(value, rendition, part)
