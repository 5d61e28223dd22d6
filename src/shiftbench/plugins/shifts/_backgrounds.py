"""Photos to put objects on: crops of the source `background_photos`, in the order of a fixed list.

`background_photos.csv` lists each photo with its part, `first` or `second`; no place is in both, so that a
model that was trained on one part meets unknown places in the other. The part `held_out` is of another source:
the textures of `_scikit_photos`, which nothing is trained on.
"""

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.data.resizing import MEANS, resize
from shiftbench.plugins.shifts import _scikit_photos

ASSETS = ("background_photos.csv",)
SOURCE = "background_photos"
SOURCES = (SOURCE, _scikit_photos.SOURCE)
PARTS = ("all", "first", "second")
HELD_OUT = "held_out"
Photos = Annotated[
    Literal["all", "first", "second", "held_out"],
    Field(description="photos of all places, of the first or second half of them, or held-out textures"),
]
SHORT_SIDE = 512  # larger photos are made smaller once, so that a crop costs the same from each


def source(part: str) -> str:
    """The name of the source that a part of the photos is in."""
    return _scikit_photos.SOURCE if part == HELD_OUT else SOURCE


def listed(part: str = "all") -> list[str]:
    """The paths of the photos of a part, below the folder of the source.

    Raises:
        ParamsError: no such part.
    """
    if part not in PARTS:
        raise ParamsError(f"photos is {part!r}; allowed are {', '.join((*PARTS, HELD_OUT))}")
    return [path for path, its, _ in rows() if part in ("all", its)]


@lru_cache(maxsize=1)
def rows() -> tuple[tuple[str, str, str], ...]:
    """Path, part and place of each photo, in the order of the list."""
    with Path(__file__).with_name(ASSETS[0]).open(encoding="utf-8", newline="") as file:
        return tuple((row["path"], row["part"], row["place"]) for row in csv.DictReader(file))


def crop(
    shape: tuple[int, ...], rng: RandomStream, sources: Mapping[str, Path], part: str = "all"
) -> NDArray[np.uint8]:
    """A random crop of a random photo: uint8 of `shape`, (h, w) grey or (h, w, 3).

    The crop has the shape's aspect and 1/2 to 1 of the size of the largest that fits (of held-out photos, see
    `_scikit_photos`). Takes one raw word.

    Raises:
        DataError: the source is not there, or not whole.
        ParamsError: no such part.
    """
    if part == HELD_OUT:
        return _scikit_photos.crop(shape, rng, sources, _scikit_photos.HELD_OUT).pixels
    if SOURCE not in sources:
        raise DataError(f"the photos of the source {SOURCE!r} are not there; run `shiftbench fetch {SOURCE}`")
    which, size, down, right = (int(word) for word in rng.words16(4))
    paths = listed(part)
    photo = _photo(str(sources[SOURCE] / paths[which * len(paths) >> 16]), colour=len(shape) == 3)
    height, width = shape[:2]
    whole = min(photo.width / width, photo.height / height) * ((1 << 16) + size) / (1 << 17)
    across, along = max(1, int(width * whole)), max(1, int(height * whole))
    left, top = right * (photo.width - across + 1) >> 16, down * (photo.height - along + 1) >> 16
    piece = photo.crop((left, top, left + across, top + along))
    return np.array(resize(piece, width, height))


@lru_cache(maxsize=96)
def _photo(path: str, *, colour: bool) -> Image.Image:
    try:
        with Image.open(path) as file:
            photo = file.convert("RGB" if colour else "L")
    except OSError as error:
        raise DataError(f"the photo {path} cannot be read ({error}); run `shiftbench fetch {SOURCE}` again") from error
    short = min(photo.size)
    if short <= SHORT_SIDE:
        return photo
    width, height = (max(1, side * SHORT_SIDE // short) for side in photo.size)
    return resize(photo, width, height, MEANS)
