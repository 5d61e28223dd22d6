"""Pictures of named objects on photos: what scenes are made of, and what the renderer draws.

An object is an emoji of 64 pixels, brought to its side, in its own colours or painted in one. Behind lies a piece of
one of scikit-image's photos, darkened; scenes of test have pieces of right halves, all others of left ones. Bytes are
the same on every CPU: Pillow's resizing, and integers.
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
from shiftbench.plugins.models._images import to_grey
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.systems.mmdt.datasets import _words

Pixels = NDArray[np.uint8]
EMOJI = "emoji_twitter"
SOURCES = (EMOJI, _scikit_photos.SOURCE)
LICENCE = "CC BY 4.0 (emoji, Twemoji); CC0 or public domain (photos; of moon and page nothing is stated)"
CITATION = (
    "Twemoji, Twitter and contributors; van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, "
    "2014, doi:10.7717/peerj.453"
)
SIDE = 64
DARKEST, BRIGHTEST = 90, 180
"""Smallest and largest share of a photo's light that remains, in 256ths."""


class Item(NamedTuple):
    """An object: its name, colour (None: its own), side in pixels, and its upper left corner."""

    name: str
    colour: str | None
    side: int
    left: int
    top: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.left + self.side, self.top + self.side


def ground(rng: RandomStream, sources: Mapping[str, Path], half: str, side: int = SIDE) -> Pixels:
    """A darkened piece of a photo, uint8 (side, side, 3)."""
    light = int(rng.integers(DARKEST, BRIGHTEST + 1))
    shape, photos = (side, side, 3), _scikit_photos.TRAINING
    piece = _scikit_photos.crop(shape, rng, sources, photos, half).pixels
    return (piece.astype(np.uint16) * np.uint16(light) >> 8).astype(np.uint8)


def draw(image: Pixels, items: Sequence[Item], folder: Path) -> Pixels:
    """An image with objects laid over it, in their order."""
    canvas = image.astype(np.int64)
    for item in items:
        rgba = sprite(str(folder), item.name, item.side).astype(np.int64)
        colours, cover = paint(rgba[..., :3], item.colour), rgba[..., 3:]
        here = np.s_[item.top : item.top + item.side, item.left : item.left + item.side]
        canvas[here] = (canvas[here] * (255 - cover) + colours * cover + 127) // 255
    return canvas.astype(np.uint8)


def paint(colours: NDArray[np.int64], colour: str | None) -> NDArray[np.int64]:
    """Pixels (h, w, 3) in one colour, lit as they were, from two fifths up."""
    if colour is None:
        return colours
    light = 102 + to_grey(colours.astype(np.uint8)).astype(np.int64) * 153 // 255
    pixels: NDArray[np.int64] = light[..., None] * np.array(_words.COLOURS[colour]) // 255
    return pixels


@lru_cache(maxsize=1024)
def sprite(folder: str, name: str, side: int) -> Pixels:
    """An object at a size, uint8 (side, side, 4).

    Raises:
        DataError: its picture is not there.
    """
    file = Path(folder) / "img/twitter/64" / f"{_words.KINDS[name]}.png"
    if not file.is_file():
        raise DataError(f"{file} is not there; run `shiftbench fetch {EMOJI}`, which brings the {name}")
    with Image.open(file) as picture:
        pixels = np.array(resize(picture.convert("RGBA"), side, side))
    pixels.flags.writeable = False
    return pixels
