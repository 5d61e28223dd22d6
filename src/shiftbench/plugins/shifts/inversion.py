"""Inversion: bright values become their negative first, dark ones later, at level 5 all.

Source: Hosseini et al. 2017, "On the limitation of convolutional neural networks in recognizing negative
images", https://arxiv.org/abs/1703.06857, section 3 (255 - x, here level 5); on the way there it is the `solarize`
of AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501, table 6), which inverts the values above
a threshold. Levels are the share of the grey scale that is inverted, from white down. Blending with
the negative instead would pass through an image that is grey all over. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A partly inverted copy of an image, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    return np.asarray(cv2.LUT(value, table(share)), dtype=np.uint8).reshape(value.shape)


def table(share: float) -> NDArray[np.uint8]:
    """New value of each of the 256 grey levels."""
    grey = np.arange(256)
    return np.where(grey >= 256 * (1 - share), 255 - grey, grey).astype(np.uint8)
