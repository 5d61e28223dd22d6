"""Downscale: the image is made smaller and enlarged again, smoothly.

Source: Koziarski & Cyganek 2018, "Impact of low resolution on image recognition with deep neural networks:
an experimental study", https://doi.org/10.2478/amcs-2018-0056; levels are the share of each side's pixels
that is left, those of ImageNet-C's `pixelate` (Hendrycks & Dietterich 2019,
https://arxiv.org/abs/1903.12261), which enlarges without interpolation. Differs from both: smaller by the
mean over areas, larger by bilinear interpolation. Sides are whole numbers of pixels.

Takes no random words. OpenCV's area and exact bilinear resizing of bytes are the same on every CPU and in
all its versions from 4.10 on (tested).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.6, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.25}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with less detail, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    height, width = value.shape[:2]
    few = max(1, round(width * share)), max(1, round(height * share))
    if few == (width, height):
        return value.copy()
    small = cv2.resize(np.ascontiguousarray(value), few, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(large, dtype=np.uint8).reshape(value.shape)
