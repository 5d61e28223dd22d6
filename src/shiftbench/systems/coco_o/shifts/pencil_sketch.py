"""Pencil sketch: the image fades into grey strokes on white paper.

Source: the domain of COCO-O (Mao et al. 2023, https://arxiv.org/abs/2307.12730) that it stands for; sketches there.
Ours: colour dodge, the luminance divided by how light the image is around it, so that edges and texture are left
alone; the mean around is over squares, three times. Levels are the share of the rendition; at level 5 it is all.
Integers; takes no random words.
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
    blur: Annotated[int, Field(ge=0, description="half the side of the mean's squares, in pixels of 128")] = 4,
) -> NDArray[np.uint8]:
    """An image as a pencil sketch, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: not used.
        blur: half the side of the squares, in pixels of an image of 128 px.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    luminance = _renditions.grey(_renditions.colour(value))
    around = luminance
    for _ in range(3):
        around = _renditions.mean(around, _renditions.pixels(blur, value.shape))
    strokes = np.minimum(luminance * 255 // np.maximum(around, 1), 255)
    rendition = np.repeat(strokes[..., None], 3, axis=2).astype(np.uint8)
    return _renditions.mixed(value, rendition, part)
