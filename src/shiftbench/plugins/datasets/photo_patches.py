"""Patches of outdoor photos: far-OOD data for networks that know clothes or digits, real where noise is not.

The 38 photos of the source `background_photos` are resized to `shorter`, cut into disjoint squares of `side`, and these
resized to `size` (means of pixels). Test has the photos of the part
`second` (a villa, palms, flower beds, a park), val a road and stones, train the rest: no place is in two splits.
Patches of one photo are alike, so `meta.cluster` names the photo, and intervals resample photos. Photos of one place
overlap, so even these intervals are somewhat narrow. A patch whose pixels occurred before (flat sky) is left out, test
first.

Source: the Machine Vision Toolbox for Python (Corke et al. 2023); patches are ours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import MEANS, resize
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._arrays import first_of_each
from shiftbench.plugins.datasets._pictures import open_picture
from shiftbench.plugins.shifts import _backgrounds

TASK = "classification"
CLASSES = tuple(sorted({place for _, _, place in _backgrounds.rows()}))
NATIVE = ("train", "val", "test")
SOURCES = (_backgrounds.SOURCE,)
LICENCE = "MIT (as the package states for all files)"
CITATION = (
    "Corke, Jachimczyk and Pillat, Robotics, Vision and Control, third edition, Springer, 2023, "
    "doi:10.1007/978-3-031-07262-8"
)
REDISTRIBUTE = True
VAL = ("road in a plain", "stones")

Patches = NDArray[np.uint8]


class Options(declare.Options):
    shorter: int = Field(426, ge=1, description="shorter side to which a photo is resized, in pixels")
    side: int = Field(56, ge=1, description="side of a patch of the resized photo, in pixels; at most `shorter`")
    size: int = Field(28, ge=1, description="side to which a patch is resized, in pixels; at most `side`")
    grey: bool = Field(True, description="grey patches instead of coloured ones")


def group(sample: Sample) -> str:
    """The place, which is in one split only."""
    return CLASSES[int(sample.fields["label"])]


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the patches of a split, row by row of each photo.

    `image` is uint8 (size, size), or (size, size, 3) unless `grey`; `label` the place; `meta` holds the cluster.
    """
    if not 1 <= params["size"] <= params["side"] <= params["shorter"]:
        raise ParamsError(
            f"photo_patches: size {params['size']}, side {params['side']} and shorter {params['shorter']}; expected "
            "1 <= size <= side <= shorter"
        )
    photos = sorted(_backgrounds.rows(), key=lambda row: NATIVE[::-1].index(_split(*row[1:])))
    cut = {path: _patches(sources[_backgrounds.SOURCE] / path, params) for path, _, _ in photos}
    kept = first_of_each(cut.items())
    for path, part, place in photos:
        if _split(part, place) == split:
            photo = path.removesuffix(".png")
            fields = {"label": CLASSES.index(place), "meta": {"cluster": photo}}
            for at in kept[path]:
                key = f"photo_patches/{split}/{photo}/{at:04d}"
                yield Sample(key, {"image": cut[path][at], **fields})


def _split(part: str, place: str) -> str:
    return "test" if part == "second" else "val" if place in VAL else "train"


def _patches(file: Path, params: dict[str, Any]) -> Patches:
    """All patches of a photo: uint8 (n, size, size) or (n, size, size, 3)."""
    side, size = params["side"], params["size"]
    photo = open_picture(file, f"photo_patches: {file.name}")
    photo = photo.convert("L" if params["grey"] else "RGB")
    width, height = (length * params["shorter"] // min(photo.size) for length in photo.size)
    across, down = width // side, height // side
    shrunk = resize(photo, width, height, MEANS).crop((0, 0, across * side, down * side))
    pixels = np.asarray(resize(shrunk, across * size, down * size, MEANS))
    tiles = pixels.reshape(down, size, across, size, *pixels.shape[2:]).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(down * across, size, size, *pixels.shape[2:]))
