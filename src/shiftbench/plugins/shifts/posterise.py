"""Posterise: every channel keeps a few evenly spaced grey levels.

Source: the `posterize` of AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501) and AugMix
(Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781), which keep 4 bits and fewer. Levels are the step
between two grey levels: 16, 32, 64 and 128 are 4, 3, 2 and 1 bits, 48 between them is ours. Differs: the
nearest multiple of the step (there the next below, which darkens by half a step on average), so that
black and white stay and there is one grey level more; any step, by severity. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 16.0, 2: 32.0, 3: 48.0, 4: 64.0, 5: 128.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with few grey levels, uint8 (h, w) or (h, w, 3)."""
    (step,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    return np.asarray(cv2.LUT(value, table(step)), dtype=np.uint8).reshape(value.shape)


def table(step: float) -> NDArray[np.uint8]:
    """New value of each of the 256 grey levels."""
    nearest = np.rint(np.rint(np.arange(256) / step) * step)
    return np.minimum(nearest, 255).astype(np.uint8)
