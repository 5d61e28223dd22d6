"""Van Gogh: the image fades into long strokes that run along its edges, in few colours.

Source: the style `Van_Gogh` of MMDT, arXiv 2503.14827, whose images are on the hub; how they were made is not said.
Ours: line integral convolution (Cabral and Leedom 1993) of the image along the normal of its gradient. The gradient's
direction is the structure tensor's (Sobel's products, means over squares of 2 `calm` + 1), one of 16; each pixel takes
the mean over its stroke. Then each channel has few tones. Levels are the share of the rendition; at level 5 it is all.
Integers and tables; takes no random words.
"""

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _renditions

FIELD = "image"
LEVELS, RANGE = _renditions.LEVELS, _renditions.RANGE
ONE = 256
"""Parts of a pixel."""
COSINES = np.array([256, 251, 237, 213, 181, 142, 98, 50, 0, -50, -98, -142, -181, -213, -237, -251], np.int64)
"""256 cos(pi k / 16), k = 0 to 15: directions of strokes."""
SINES = np.array([0, 50, 98, 142, 181, 213, 237, 251, 256, 251, 237, 213, 181, 142, 98, 50], np.int64)
Stroke = Annotated[int, Field(ge=0, description="half the length of a stroke, in pixels of an image of 128 px")]
Calm = Annotated[
    int, Field(ge=0, description="half the side of the squares of one direction, in pixels of an image of 128 px")
]
Tones = Annotated[int, Field(ge=2, description="tones of each channel")]


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    stroke: Stroke = 12,
    calm: Calm = 4,
    tones: Tones = 7,
) -> NDArray[np.uint8]:
    """An image in long strokes, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: not used.
        stroke: half the length of a stroke.
        calm: half the side of the squares over which directions are averaged.
        tones: of each channel.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    part = _renditions.share(__name__, severity)
    image = _renditions.colour(value)
    ways = directions(image, _renditions.pixels(calm, value.shape))
    strokes = _along(image, ways, _renditions.pixels(stroke, value.shape), COSINES, SINES)
    steps = (strokes.astype(np.int64) * (tones - 1) + 127) // 255
    few = (steps * 255 + (tones - 1) // 2) // (tones - 1)
    return _renditions.mixed(value, few.astype(np.uint8), part)


def directions(image: NDArray[np.uint8], radius: int) -> NDArray[np.int64]:
    """The direction of the stroke through each pixel, int64 (h, w), in 16ths of a half turn.

    Of all directions the one in which the image changes least: -(Jxx - Jyy) cos 2a - 2 Jxy sin 2a is largest.
    """
    grey = _renditions.grey(image).astype(np.uint8)
    x, y = (
        cv2.Sobel(grey, cv2.CV_16S, *way, ksize=3, borderType=cv2.BORDER_REPLICATE).astype(np.int64)
        for way in ((1, 0), (0, 1))
    )
    apart, cross = (_renditions.mean(one, radius) for one in (x * x - y * y, 2 * x * y))
    twice = 2 * np.arange(16)
    cosines = np.concatenate([COSINES, -COSINES])[twice]
    sines = np.concatenate([SINES, -SINES])[twice]
    change = apart[..., None] * cosines + cross[..., None] * sines
    ways: NDArray[np.int64] = change.argmin(axis=-1)
    return ways


@compiled
def _along(
    image: NDArray[np.uint8], ways: NDArray[np.int64], length: int, cosines: NDArray[np.int64], sines: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The mean over a stroke to both sides of each pixel; it ends at the image's border.

    A stroke follows the direction of each pixel that it comes to, never turning back.
    """
    height, width, _ = image.shape
    result = np.empty_like(image)
    for row in range(height):
        for column in range(width):
            count = 1
            red, green, blue = (int(image[row, column, 0]), int(image[row, column, 1]), int(image[row, column, 2]))
            for side in (1, -1):
                x, y = column * 256 + 128, row * 256 + 128
                last_x = side * cosines[ways[row, column]]
                last_y = side * sines[ways[row, column]]
                for _ in range(length):
                    way = ways[y >> 8, x >> 8]
                    step_x, step_y = cosines[way], sines[way]
                    if step_x * last_x + step_y * last_y < 0:
                        step_x, step_y = -step_x, -step_y
                    x, y = x + step_x, y + step_y
                    last_x, last_y = step_x, step_y
                    if x < 0 or y < 0 or x >> 8 >= width or y >> 8 >= height:
                        break
                    count += 1
                    red += int(image[y >> 8, x >> 8, 0])
                    green += int(image[y >> 8, x >> 8, 1])
                    blue += int(image[y >> 8, x >> 8, 2])
            result[row, column, 0] = (red + count // 2) // count
            result[row, column, 1] = (green + count // 2) // count
            result[row, column, 2] = (blue + count // 2) // count
    return result
