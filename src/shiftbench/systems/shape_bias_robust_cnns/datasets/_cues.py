"""Two cues in one picture: the outline of a garment, and a texture inside it, or one of them alone.

Shapes are six classes of Fashion-MNIST, textures crops of five photos of scikit-image and a drawn checkerboard (8 x 8
squares of 25 px, as `skimage.data.checkerboard` is), 28 px of them as they are (`near`) or a quarter to a half of their
shorter side shrunk to that (`far`). Class k is shape k and texture k. Of a crop only ranks stay:
levels are even over `INK`, equal pixels share their mean rank, so that the mean of a crop, which is the same for all,
tells nothing. Behind is grey, near that mean, so that outlines are weak.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftbench.base.rng import RandomStream
from shiftbench.data.resizing import resize
from shiftbench.plugins.shifts import _scikit_photos

SHAPES = ("t_shirt", "trouser", "dress", "sandal", "bag", "ankle_boot")
TEXTURES = ("brick", "grass", "gravel", "page", "checkerboard", "coins")
CUES, SEEN = ("matched", "shape", "texture", "conflict"), ("near", "far")
INK = (64, 255)  # 0.25 and 1 of white
GROUND, FLAT = 159, 76  # 0.625 and 0.3
EDGE = 20  # 0.08: what is brighter is the garment
SIDE = 28
HALF = {"train": "left", "test": "right"}
_SQUARES, _SQUARE = 8, 25
Pixels = NDArray[np.uint8]


def outline(garment: Pixels) -> NDArray[np.bool_]:
    """Mask of a garment, bool (h, w)."""
    mask: NDArray[np.bool_] = garment > EDGE
    return mask


def texture(number: int, words: RandomStream, sources: Mapping[str, Path], half: str, seen: str = "near") -> Pixels:
    """A crop of a texture, its levels equalised: uint8 (28, 28).

    Args:
        number: of `TEXTURES`.
        words: one raw word is taken.
        sources: folders of originals by name.
        half: `left` or `right` of the photo; of the checkerboard, too, whose halves are alike.
        seen: of `SEEN`.

    Raises:
        DataError: the photos are not there.
    """
    name = TEXTURES[number]
    photo = _board() if name == "checkerboard" else _scikit_photos.opened(sources, f"{name}.png", colour=False)
    return equalised(_crop(photo, words, half, seen))


def _board() -> Image.Image:
    rows = np.arange(_SQUARES * _SQUARE) // _SQUARE
    return Image.fromarray(((rows[:, None] + rows) % 2 * 255).astype(np.uint8))


def _crop(photo: Image.Image, words: RandomStream, half: str, seen: str) -> Pixels:
    """A square of one half of a photo, 28 px wide or brought to that."""
    size_draw, row_draw, column_draw, _ = (int(word) for word in words.words16(4))
    side = SIDE if seen == "near" else min(photo.size) * ((1 << 16) + size_draw) >> 18
    middle = photo.width // 2
    first, last = (middle, photo.width) if half == "right" else (0, middle)
    top = row_draw * (photo.height - side + 1) >> 16
    left = first + (column_draw * (last - first - side + 1) >> 16)
    return np.asarray(resize(photo.crop((left, top, left + side, top + side)), SIDE, SIDE))


def equalised(crop: Pixels) -> Pixels:
    """A crop whose levels are its ranks, even over `INK`; equal pixels share the mean of theirs."""
    _, place, counts = np.unique(crop, return_inverse=True, return_counts=True)
    lower_counts = np.cumsum(counts) - counts
    doubled_rank = (2 * lower_counts + counts - 1)[place.reshape(crop.shape)]  # twice the mean rank, from 0
    low, high = INK
    most = 2 * (crop.size - 1)
    levels = low + ((high - low) * doubled_rank + most // 2) // most
    return levels.astype(np.uint8)


def picture(cue: str, garment: Pixels, ink: Pixels | None) -> Pixels:
    """One picture, uint8 (28, 28).

    Args:
        cue: of `CUES`.
        garment: whose outline counts, uint8 (28, 28).
        ink: the texture; None for `shape`.
    """
    inside = np.full_like(garment, FLAT) if ink is None else ink
    mask = np.ones_like(garment, bool) if cue == "texture" else outline(garment)
    return np.where(mask, inside, np.uint8(GROUND)).astype(np.uint8)


def other(label: int, number: int) -> int:
    """Another texture than the label's, the five in turn as numbers within the class go up."""
    return (label + 1 + number % (len(TEXTURES) - 1)) % len(TEXTURES)
