"""Pillow's resize in a fixed order: across, then down.

Pillow goes one way and then the other, and rounds to bytes between; which way first depends on its version for
images that are tall (13 goes down first, 11 across). One at a time, the bytes are the same.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LINEAR = Image.Resampling.BILINEAR  # a triangle as wide as a new pixel: no aliasing when shrinking
MEANS = Image.Resampling.BOX


def resize(picture: Image.Image, width: int, height: int, kind: Image.Resampling = LINEAR) -> Image.Image:
    """A resized image; with an alpha channel, colours are weighted by it."""
    if picture.mode == "RGBA":
        return resize(picture.convert("RGBa"), width, height, kind).convert("RGBA")
    return picture.resize((width, picture.height), kind).resize((width, height), kind)


def resize_array(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Pixels of a resized image, uint8 (height, width) or (height, width, 3)."""
    return np.asarray(resize(Image.fromarray(np.ascontiguousarray(pixels)), width, height))
