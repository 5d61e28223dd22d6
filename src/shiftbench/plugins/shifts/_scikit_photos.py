"""Crops of scikit-image's photos: some for training, others held out, and the halves of a photo kept apart.

Source: the photos that scikit-image's wheels hold (van der Walt et al. 2014). `TRAINING` are what an example gallery
shows, `HELD_OUT` four textures and a plate of coins. No place of a held-out photo is in a training photo, and a crop of
the left half of a photo shares no pixel with one of its right half.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.data.resizing import resize

SOURCE = "scikit_image_photos"
TRAINING = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "moon.png",
    "page.png",
    "rocket.jpg",
)
HELD_OUT = ("brick.png", "coins.png", "grass.png", "gravel.png", "text.png")
HALVES = ("whole", "left", "right")


class Crop(NamedTuple):
    """A piece of a photo: its pixels, and where it was cut (the first row and column outside: bottom, right)."""

    pixels: NDArray[np.uint8]
    photo: str
    top: int
    left: int
    bottom: int
    right: int

    @property
    def region(self) -> str:
        """Where it was cut, in pixels of the photo: `left,top,right,bottom`."""
        return f"{self.left},{self.top},{self.right},{self.bottom}"


def crop(
    shape: tuple[int, ...], rng: RandomStream, sources: Mapping[str, Path], photos: Sequence[str], half: str = "whole"
) -> Crop:
    """A random piece of one of some photos, brought to a size.

    The piece has the shape's aspect; its longer side is 1/4 to 1/2 of the photo's shorter one, so that it fits into a
    half. Takes one raw word.

    Args:
        shape: what is wanted, (h, w) grey or (h, w, 3).
        rng: random words.
        sources: folders of originals by name.
        photos: file names, one is drawn.
        half: `whole`, `left` or `right`: the part of the photo that the piece lies in.

    Raises:
        DataError: the source is not there, or not whole.
    """
    which, size, down, along = (int(word) for word in rng.words16(4))
    name = photos[which * len(photos) >> 16]
    photo = opened(sources, name, colour=len(shape) == 3)
    height, width = shape[:2]
    longer = min(photo.size) * ((1 << 16) + size) >> 18  # of 2^16 to 2^17, a quarter
    tall, wide = (max(1, side * longer // max(height, width)) for side in (height, width))
    middle = photo.width // 2
    first = middle if half == "right" else 0
    last = middle if half == "left" else photo.width
    top = down * (photo.height - tall + 1) >> 16
    left = first + (along * (last - first - wide + 1) >> 16)
    piece = photo.crop((left, top, left + wide, top + tall))
    return Crop(np.array(resize(piece, width, height)), name, top, left, top + tall, left + wide)


def opened(sources: Mapping[str, Path], name: str, *, colour: bool) -> Image.Image:
    """A photo, grey or colour.

    Raises:
        DataError: the source is not there, or not whole.
    """
    if SOURCE not in sources:
        raise DataError(f"the photos of the source {SOURCE!r} are not there; run `shiftbench fetch {SOURCE}`")
    return _opened(str(sources[SOURCE] / name), colour=colour)


@lru_cache(maxsize=32)
def _opened(path: str, *, colour: bool) -> Image.Image:
    try:
        with Image.open(path) as file:
            return file.convert("RGB" if colour else "L")
    except OSError as error:
        raise DataError(f"the photo {path} cannot be read ({error}); run `shiftbench fetch {SOURCE}` again") from error
