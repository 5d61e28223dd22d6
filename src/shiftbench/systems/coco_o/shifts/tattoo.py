"""Tattoo: the image fades into one that is printed in blue ink on skin.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; tattoos there.
Ours: ink where a pixel is darker than the mean around it, four times as dense as the difference, on a skin whose
light is the image's, smoothed. Levels are the share of the rendition; at level 5 it is all. Integers; takes no random
words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
SKIN, INK = np.array([224, 172, 137]), np.array([38, 52, 92])


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    density: Annotated[int, Field(ge=0, description="density of the ink for a grey level of difference")] = 4,
) -> NDArray[np.uint8]:
    """An image as a tattoo, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: not used.
        density: of the ink for a grey level of difference.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    luminance = _renditions.grey(_renditions.colour(value))
    around = _renditions.mean(luminance, _renditions.pixels(8, value.shape))
    ink = np.clip(density * (around - luminance), 0, 255)[..., None]
    light = 208 + around[..., None] * 48 // 255  # of 256
    skin = np.minimum(SKIN * light >> 8, 255)
    rendition = skin + (INK - skin) * ink // 255
    return _renditions.mixed(value, rendition.astype(np.uint8), part)
