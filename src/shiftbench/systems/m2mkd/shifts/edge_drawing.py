"""Edge drawing: the image fades into its own edges, bright lines on black.

    x' = (1 - s) x + s e,  e = 255 m / max(m),  m = |Sobel(x)|

Source: the rendition shift of the m2mKD analogue, a stand-in for ImageNet-R (Hendrycks et al. 2021, arXiv:2006.16241);
Sobel's gradient over 3 x 3 pixels of the grey image (Rec. 601), edges repeated at the border, scaled to the image's own
strongest edge. Levels are the share s. Unlike `edge_sketch` the ground keeps its polarity where it is black, and the
strength of a line is relative. Integers but for one square root. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image mixed with its edges, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    part = round(256 * share)
    image = np.ascontiguousarray(value)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) if image.ndim == 3 else image
    lines = edges(grey).astype(np.uint16)
    lines = lines[..., None] if image.ndim == 3 else lines
    mixed = image.astype(np.uint16) * np.uint16(256 - part) + lines * np.uint16(part)
    return ((mixed + np.uint16(128)) >> 8).astype(np.uint8)


def edges(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The gradient's size at each pixel of a grey image (h, w), its largest 255; of a flat one zeros."""
    across, down = (cv2.Sobel(grey, cv2.CV_16S, x, 1 - x, ksize=3, borderType=cv2.BORDER_REPLICATE) for x in (1, 0))
    squares = across.astype(np.int32) ** 2 + down.astype(np.int32) ** 2
    size = np.sqrt(squares.astype(np.float64))
    most = size.max()
    return np.rint(255 * size / most).astype(np.uint8) if most else np.zeros_like(grey)
