"""Cut-out objects of the Tux Paint stamps, to be laid over images.

`occlusion_stamps.csv` lists the stamps (path, object), chosen by eye: photos, or drawings that look like
one, of things that belong to none of the twelve classes of `twelve_photo` and its partners (no animal,
plant, fruit, vegetable, vehicle, building, garment, instrument or tool for work), with a clean outline and at
least 75 px long. None of them is a sample of those data sets.
"""

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftbench.base.errors import DataError
from shiftbench.data.resizing import MEANS, resize

ASSETS = ("occlusion_stamps.csv",)
SOURCE = "tuxpaint_stamps"
VISIBLE = 8  # alpha below is dust around cut-outs
LONG_SIDE = 256  # larger ones are made smaller once


class Cutout(NamedTuple):
    """A cut-out object: colours times alpha, and alpha."""

    colour: Image.Image
    grey: Image.Image
    alpha: Image.Image

    def sized(self, side: int) -> tuple[int, int]:
        """(width, height) when the longer side is `side` pixels."""
        longest = max(self.alpha.size)
        width, height = (max(1, (own * side + longest // 2) // longest) for own in self.alpha.size)
        return width, height

    def mask(self, side: int) -> NDArray[np.uint8]:
        """The alpha, its longer side made `side` pixels long."""
        return np.asarray(resize(self.alpha, *self.sized(side)))

    def layer(self, side: int, *, colour: bool) -> NDArray[np.uint8]:
        """The colours times alpha: uint8 (h, w, 3), or (h, w) where `colour` is not wanted."""
        return np.asarray(resize(self.colour if colour else self.grey, *self.sized(side)))


def listed() -> list[str]:
    """The paths of the stamps, below the folder of the source."""
    with Path(__file__).with_name(ASSETS[0]).open(encoding="utf-8", newline="") as file:
        return [row["path"] for row in csv.DictReader(file)]


def cutouts(sources: Mapping[str, Path]) -> tuple[Cutout, ...]:
    """All listed stamps, each cropped to what is visible of it.

    Raises:
        DataError: the source is not there, or not whole.
    """
    if SOURCE not in sources:
        raise DataError(f"the cut-outs of the source {SOURCE!r} are not there; run `shiftbench fetch {SOURCE}`")
    return _read(str(sources[SOURCE]))


@lru_cache(maxsize=4)
def _read(folder: str) -> tuple[Cutout, ...]:
    return tuple(_cutout(Path(folder) / path) for path in listed())


def _cutout(path: Path) -> Cutout:
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except OSError as error:
        raise DataError(f"the stamp {path} cannot be read ({error}); run `shiftbench fetch {SOURCE}` again") from error
    seen = picture.getchannel("A").point([0] * VISIBLE + [255] * (256 - VISIBLE))
    picture = picture.crop(seen.getbbox() or (0, 0, *picture.size))
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    colour = _fitted(Image.alpha_composite(black, picture).convert("RGB"))
    return Cutout(colour, colour.convert("L"), _fitted(picture.getchannel("A")))


def _fitted(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest <= LONG_SIDE:
        return picture
    width, height = (max(1, side * LONG_SIDE // longest) for side in picture.size)
    return resize(picture, width, height, MEANS)
