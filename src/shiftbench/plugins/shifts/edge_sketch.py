"""Edge sketch: the image fades into a drawing of its edges, dark lines on white paper.

Source: edges and sketches as test sets: Geirhos et al. 2019, https://arxiv.org/abs/1811.12231 (Canny's edges),
and Wang et al. 2019 (ImageNet-Sketch), https://arxiv.org/abs/1905.13549 (drawings). Ours is the strength of the
edge itself, without a threshold: Sobel's gradient over 5 x 5 pixels of the grey image (Rec. 601), its size
close to max + min / 2 of its two parts; one of 48 x `BLACK` or more is black. Levels are the share of the
drawing in the mixture, ours: at level 5 it is all. A drawing of pixels: lines are as wide at any size of
image. Integers; takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
BLACK = 64  # rise from one pixel to the next that is drawn black, in grey levels
STEP = 48  # Sobel's answer to a step of one grey level


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image mixed with a drawing of its edges, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    part = round(256 * share)
    image = np.ascontiguousarray(value)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) if image.ndim == 3 else image
    paper = drawing(grey) * np.uint16(part) + np.uint16(128)
    mixed = image * np.uint16(256 - part)
    mixed += np.asarray(cv2.merge([paper] * 3), np.uint16) if image.ndim == 3 else paper
    return (mixed >> 8).astype(np.uint8)


def drawing(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The edges of a grey image (h, w): 255 where it is flat, 0 at a strong edge."""
    across = np.abs(cv2.Sobel(grey, cv2.CV_16S, 1, 0, ksize=5, borderType=cv2.BORDER_REPLICATE))
    down = np.abs(cv2.Sobel(grey, cv2.CV_16S, 0, 1, ksize=5, borderType=cv2.BORDER_REPLICATE))
    strength = np.maximum(across, down) + (np.minimum(across, down) >> 1)
    shades: NDArray[np.uint8] = SHADES[np.minimum(strength, STEP * BLACK)]
    return shades


def _shades() -> NDArray[np.uint8]:
    """The shade of each strength from 0 to black."""
    most = STEP * BLACK
    return (255 - (255 * np.arange(most + 1) + most // 2) // most).astype(np.uint8)


SHADES = _shades()
