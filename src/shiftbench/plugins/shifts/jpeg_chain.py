"""JPEG chain: the image is encoded as JPEG several times, each time on a shifted grid.

Source: what an image goes through when it is copied from site to site: non-aligned double JPEG compression
(Bianchi & Piva 2012, "Detection of nonaligned double JPEG compression based on integer periodicity maps",
https://doi.org/10.1109/TIFS.2011.2170836), repeated. Levels are (encodings, quality), ours: the qualities lie
in the range that services use and a little below, above those of ImageNet-C's `jpeg_compression`. Each
encoding has its own quality, up to 10 from the level's, and its own offset of 0 to 7 px in both directions
from the 8 x 8 blocks; both are the same at every severity of a sample. Pixels of an offset repeat the
edge, and are cut off afterwards. Colour is stored at half the resolution, libjpeg's default.

Takes 16-bit words: three for each of the 6 encodings of level 5 (quality, down, right), at every severity.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: (2.0, 60.0), 2: (3.0, 50.0), 3: (4.0, 40.0), 4: (5.0, 32.0), 5: (6.0, 25.0)}
RANGE = _levels.RANGE
MOST = 6  # encodings
SPREAD = 10.0  # qualities lie up to this far from the level's
BLOCK = 8  # pixels per side


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image as a chain of JPEGs leaves it, uint8 (h, w) or (h, w, 3)."""
    encodings, middle = _levels.at(__name__, LEVELS, severity, zero=(1.0, 100.0))
    if severity == 0:  # even quality 100 is not quite lossless
        return value.copy()
    drawn = rng.uniform((MOST, 3))
    colour = value.ndim == 3
    pixels = np.asarray(cv2.cvtColor(value, cv2.COLOR_RGB2BGR) if colour else value, np.uint8)
    for turn, down, right in drawn[: round(encodings)].tolist():
        quality = middle + SPREAD * (2 * turn - 1) * min(severity, 1.0)
        pixels = _coded(pixels, min(round(quality), 100), int(BLOCK * down), int(BLOCK * right))
    shown = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if colour else pixels
    return np.ascontiguousarray(shown, dtype=np.uint8)


def _coded(pixels: NDArray[np.uint8], quality: int, down: int, right: int) -> NDArray[np.uint8]:
    """The image after one encoding, with blocks that begin `down` and `right` outside the image."""
    moved = cv2.copyMakeBorder(pixels, down, 0, right, 0, cv2.BORDER_REPLICATE)
    if max(moved.shape) > 65_500:
        raise DataError(f"jpeg_chain: an image of shape {pixels.shape} is too large for JPEG")
    flag = cv2.IMREAD_GRAYSCALE if pixels.ndim == 2 else cv2.IMREAD_COLOR
    encoded = cv2.imencode(".jpg", moved, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    decoded = np.asarray(cv2.imdecode(encoded, flag), dtype=np.uint8)
    return decoded[down:, right:]
