"""Kuwahara: a painting with a broad brush: every pixel takes the mean of its calmest neighbourhood.

Source: Kuwahara et al. 1976, "Processing of RI-angiocardiographic images"; as a painter's effect in Papari et al.
2007, "Artistic edge and corner enhancing smoothing", https://doi.org/10.1109/TIP.2007.903912: of the four
squares of (r + 1) x (r + 1) pixels that have the pixel as a corner, the one whose brightness varies least.
Levels are r in pixels of a 224 px image (ours; Kuwahara's own is 2). Differs: the brightness of a colour
image is its luma (Rec. 601); r scales with min(h, w) / 224, and between two whole r their two images are
mixed; edges are repeated; of equal squares the first of upper left, upper right, lower left, lower right.
Integers; takes no random words.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 2.0, 2: 3.0, 3: 4.0, 4: 6.0, 5: 8.0}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A painted copy of an image, uint8 (h, w) or (h, w, 3)."""
    (level,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    radius, part = whole_and_part(level * _levels.scale(value.shape))
    image = np.ascontiguousarray(value)
    finer = painted(image, radius)
    if part == 0:
        return finer
    mixed = finer * np.uint16(256 - part) + painted(image, radius + 1) * np.uint16(part)
    return ((mixed + np.uint16(128)) >> 8).astype(np.uint8)


def whole_and_part(radius: float) -> tuple[int, int]:
    """A radius as whole pixels and 256ths."""
    return divmod(round(256 * radius), 256)


def painted(image: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """The image of a whole radius, a new array; radius 0 leaves it as it is."""
    if radius == 0:
        return image.copy()
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image)
    light = _sums(grey, radius)
    energy = _sums(grey.astype(np.int32) ** 2, radius)
    out = np.empty((*grey.shape, image.size // max(grey.size, 1)), dtype=np.uint8)
    _choose(_sums(image, radius).reshape(*light.shape, -1), light, energy, out)
    return out.reshape(image.shape)


def _sums(values: NDArray[Any], radius: int) -> NDArray[np.float64]:
    """The sum over the square to the right and below of each pixel, also of those around."""
    framed = cv2.copyMakeBorder(values, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    square = radius + 1, radius + 1
    return np.asarray(cv2.boxFilter(framed, cv2.CV_64F, square, anchor=(0, 0), normalize=False))


@compiled
def _choose(
    sums: NDArray[np.float64], light: NDArray[np.float64], energy: NDArray[np.float64], out: NDArray[np.uint8]
) -> None:
    """Fill `out` (h, w, c) from the sums over all squares (h + 2 r, w + 2 r, c), whole numbers."""
    height, width, channels = out.shape
    radius = (light.shape[0] - height) // 2
    count = (radius + 1) * (radius + 1)
    share = ((1 << 32) + count // 2) // count  # of one pixel in a mean, in 2**32ths
    for row in range(height):
        for column in range(width):
            least = np.inf
            top, left = row, column
            for quarter in range(4):
                y = row + radius * (quarter >> 1)
                x = column + radius * (quarter & 1)
                spread = count * energy[y, x] - light[y, x] * light[y, x]
                if spread < least:
                    least, top, left = spread, y, x
            for channel in range(channels):
                total_here = np.int64(sums[top, left, channel])
                out[row, column, channel] = (total_here * share + (1 << 31)) >> 32
