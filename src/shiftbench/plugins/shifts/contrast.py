"""Contrast: each channel is drawn towards its own mean.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the
factor that remains of the distance to the mean, from `make_imagenet_c.py`. Differs: rounded, not
truncated. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.1, 5: 0.05}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with less contrast, uint8 (h, w) or (h, w, 3)."""
    (factor,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    channels = value.shape[2] if value.ndim == 3 else 1
    pixels = value.shape[0] * value.shape[1]
    means = np.array(cv2.sumElems(value)[:channels]) / pixels  # sums of integers: exact
    grey = np.arange(256.0)[:, None]
    table = np.rint((grey - means) * factor + means).astype(np.uint8)
    return np.asarray(cv2.LUT(value, table.reshape(256, 1, channels)))
