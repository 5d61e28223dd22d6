"""Helpers of the renditions: an image fades into an image of it in another manner.

All six take and give colour; of a grey image they draw a grey image. Integers and tables: the same bytes on every
CPU.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.plugins.models._images import to_colour, to_grey
from shiftbench.plugins.shifts import _levels

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
LEVELS: dict[int, float | tuple[float, ...]] = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
SMALL = 128
"""Side of the images that sizes in pixels are meant for; larger ones have larger strokes."""


def share(name: str, severity: float) -> int:
    """The share of the rendition in the mixture, in 65,536ths.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (part,) = _levels.at(name, LEVELS, severity, zero=0.0)
    return round(65536 * part)


def mixed(value: Pixels, rendition: Pixels, part: int) -> Pixels:
    """`part` 65,536ths of a rendition, uint8 (h, w, 3), over an image, (h, w) or (h, w, 3)."""
    drawn = to_grey(rendition) if value.ndim == 2 else rendition
    whole = value.astype(np.int64) * (65536 - part) + drawn.astype(np.int64) * part
    return np.ascontiguousarray((whole + 32768) >> 16, dtype=np.uint8)


def colour(value: Pixels) -> Pixels:
    """An image as colour, (h, w, 3)."""
    return np.ascontiguousarray(to_colour(value))


def grey(image: Pixels) -> Ints:
    """The luminance of a colour image, int64 (h, w)."""
    return to_grey(image).astype(np.int64)


def pixels(size: float, shape: tuple[int, ...]) -> int:
    """A length of images of 128 px in those of this shape: at least 1."""
    return max(1, round(size * min(shape[:2]) / SMALL))


def mean(values: Ints, radius: int) -> Ints:
    """The mean over squares of 2 radius + 1, rounded down, int64 (h, w); what lies outside repeats the edge."""
    side = 2 * radius + 1
    padded = np.pad(values, radius, mode="edge")
    for axis in (0, 1):
        total = np.cumsum(padded, axis=axis)
        total = np.insert(total, 0, 0, axis=axis)
        ends = np.take(total, range(side, total.shape[axis]), axis=axis)
        padded = ends - np.take(total, range(total.shape[axis] - side), axis=axis)
    smooth: Ints = padded // (side * side)
    return smooth


@compiled
def smoothed(image: Pixels, radius: int, near: int, passes: int) -> Pixels:
    """An image whose flat parts are flatter and whose edges stay: means over what is near in place and colour.

    Mean shift of colours (Comaniciu and Meer 2002), the place held fixed: from its own colour each pixel goes
    `passes` times to the mean of those pixels within `radius` whose colour is at most `near` away (largest difference
    of a channel).

    Args:
        image: uint8 (h, w, 3).
        radius: in pixels.
        near: in grey levels.
        passes: at least 1.
    """
    height, width, _ = image.shape
    result = np.empty_like(image)
    for row in range(height):
        for column in range(width):
            r, g, b = (int(image[row, column, 0]), int(image[row, column, 1]), int(image[row, column, 2]))
            for _ in range(passes):
                count = red = green = blue = 0
                for y in range(max(0, row - radius), min(height, row + radius + 1)):
                    for x in range(max(0, column - radius), min(width, column + radius + 1)):
                        one, two, three = (int(image[y, x, 0]), int(image[y, x, 1]), int(image[y, x, 2]))
                        if abs(one - r) <= near and abs(two - g) <= near and abs(three - b) <= near:
                            count += 1
                            red += one
                            green += two
                            blue += three
                if count == 0:
                    break
                r, g, b = red // count, green // count, blue // count
            result[row, column, 0], result[row, column, 1], result[row, column, 2] = r, g, b
    return result
