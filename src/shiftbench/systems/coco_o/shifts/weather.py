"""Weather: the image fades into fog with falling snow.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; real photographs
there. Ours: 61% grey of 215 over the image (fog), and on it snow: one pixel in `sparse` is a flake, blurred to a
small square. Levels are the share of the rendition; at level 5 it is all. Integers.

Takes 16-bit words, one a pixel.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
GREY = 215


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    fog: Annotated[float, Field(ge=0, le=1, description="share of the fog's grey in each pixel")] = 0.61,
    sparse: Annotated[int, Field(ge=1, description="pixels for each flake of snow")] = 200,
) -> NDArray[np.uint8]:
    """An image in fog and snow, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: the sample's random stream.
        fog: share of the fog's grey, 0 to 1.
        sparse: pixels to one flake.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    height, width = image.shape[:2]
    flakes = rng.words16(height * width).reshape(height, width) < 65536 // max(1, sparse)
    radius = _renditions.pixels(1, value.shape)
    snow = flakes.astype(np.int64) * 4000
    for _ in range(2):
        snow = _renditions.mean(snow, radius)
    snow = np.minimum(snow, 255)[..., None]
    whole = round(256 * fog)
    foggy = (image.astype(np.int64) * (256 - whole) + GREY * whole) >> 8
    rendition = foggy + (255 - foggy) * snow // 255
    return _renditions.mixed(value, rendition.astype(np.uint8), part)
