"""JPEG compression: the image is encoded as JPEG and decoded again; its pixels are what is kept.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are qualities
of libjpeg from `make_imagenet_c.py`. Differs: the decoded pixels are stored losslessly (there as JPEG
once more); qualities between the levels are rounded to whole numbers. Blocks have 8 x 8 pixels at
any size of image. Pixels equal Pillow's, which the original calls (tested); libjpeg-turbo's integer
transforms are the same on every CPU. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 25.0, 2: 18.0, 3: 15.0, 4: 10.0, 5: 7.0}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image as JPEG leaves it, uint8 (h, w) or (h, w, 3)."""
    (quality,) = _levels.at(__name__, LEVELS, severity, zero=100.0)
    if severity == 0:  # even quality 100 is not quite lossless
        return value.copy()
    options = (cv2.IMWRITE_JPEG_QUALITY, round(quality))
    grey = value.ndim == 2
    ordered = value if grey else cv2.cvtColor(value, cv2.COLOR_RGB2BGR)
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(cv2.imencode(".jpg", ordered, options)[1], flag)
    if pixels is None:
        raise DataError(f"jpeg_compression: an image of shape {value.shape} cannot be coded")
    if not grey:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return np.asarray(pixels, dtype=np.uint8)
