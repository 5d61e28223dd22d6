"""Contrast of a scale: 1 - 0.36 x scale of each channel's distance to its mean is left.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. As `contrast`,
whose levels are ImageNet-C's. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE
SLOPE = 0.36


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with less contrast, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 2.5.
    """
    _levels.check(__name__, severity, RANGE)
    channels = value.shape[2] if value.ndim == 3 else 1
    pixels = value.shape[0] * value.shape[1]
    means = np.array(cv2.sumElems(value)[:channels]) / pixels  # sums of integers: exact
    grey = np.arange(256.0)[:, None]
    table = np.rint((grey - means) * (1 - SLOPE * severity) + means).astype(np.uint8)
    return np.asarray(cv2.LUT(value, table.reshape(256, 1, channels)))
