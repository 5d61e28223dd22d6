"""Scenes of things that a detector has no class for, on pieces of photos: what it can hallucinate on.

Drawn are the clothes `pasted`, or digits. A morph is made of two items of the classes or of one: halves joined, or a
turned item with a band erased; it looks like the classes and is none. A guest is what a test set has that nobody
cleaned: it keeps its box, so that audits know. Images of one `series` are resampled together. All else is
`photo_scenes`, whose splits of items and photos are kept.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; LeCun et al. 1998 (MNIST); van der Walt et al. 2014 (photos).
The sets are ours, after the near, far, proximal and contaminated sets of arXiv:2503.07330 (2025).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _scenes, fashion_mnist, photo_scenes
from shiftbench.plugins.datasets._arrays import read_idx

TASK = "detection"
NATIVE = photo_scenes.NATIVE
SOURCES = (*photo_scenes.SOURCES, "mnist")
LICENCE = f"{photo_scenes.LICENCE}; CC BY-SA 3.0 (digits)"
CITATION = f"{photo_scenes.CITATION}; LeCun et al. 1998 (MNIST)"
REDISTRIBUTE = True
IN_ORDER = True
MORPHS = 500
"""Number of morphs in a split."""


class Options(photo_scenes.Options):
    train: int = Field(400, ge=0, description="number of training scenes")
    names: list[str] = Field(
        ["t_shirt", "pullover", "dress", "coat", "shirt"], description="classes of Fashion-MNIST that have boxes"
    )
    pasted: list[str] = Field([], description="clothes that are drawn; []: all ten")
    digits: bool = Field(False, description="whether MNIST's digits are drawn instead of the clothes `pasted`")
    morphs: float = Field(
        0.0, ge=0, le=1, description="share of the things drawn that are made of items of the classes"
    )
    guests: float = Field(
        0.0, ge=0, le=1, description="share of images with one more item of the classes, with its box"
    )
    series: str = Field("", description="images of one series are the same but for their guests; empty: the own name")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The classes that have boxes."""
    return photo_scenes.classes(params, sources)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (side, side, 3), `boxes`, `meta` with the cluster.

    Raises:
        ParamsError: an option that is out of range.
        DataError: an original is not there.
    """
    for option in ("morphs", "guests"):
        if not 0 <= params[option] <= 1:
            raise ParamsError(f"stranger_scenes: {option} is {params[option]:g}; expected a share, 0 to 1")
    look, series = photo_scenes.look(split, params), params["series"] or params["name"]
    strangers, morphs, known = pools(split, sources, params)
    for number in range(params[split]):
        place = f"{split}/{number:06d}"
        key = f"{series}/{place}"
        rng = RandomStream(0, "scene", "stranger_scenes", key)
        choice = RandomStream(0, "guest", "stranger_scenes", key).uniform(2)
        pool = morphs if morphs is not None and choice[0] < params["morphs"] else strangers
        guests = known if choice[1] < params["guests"] else None
        image, boxes = _scenes.scene(rng, pool, look, sources, guests)
        fields = {"image": image, "boxes": boxes, "meta": {"cluster": key}}
        yield Sample(f"{params['name']}/{place}", fields)


def pools(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> tuple[_scenes.Items, _scenes.Items | None, _scenes.Items]:
    """The samples to draw, the morphs (None: there are none), and the items of the classes."""
    names, folder = classes(params, sources), sources[fashion_mnist.SOURCES[0]]
    known = photo_scenes.items(split, names, names, folder)
    if params["digits"]:
        pixels = read_idx(sources["mnist"] / f"{photo_scenes.FILES[split]}-images-idx3-ubyte")
        strangers = _scenes.Items(pixels, np.full(len(pixels), -1, dtype=np.int64))
    else:
        pasted_names = photo_scenes.classes({"names": params["pasted"]}, sources)
        strangers = photo_scenes.items(split, names, pasted_names, folder)
    return strangers, make_morphs(known, split) if params["morphs"] else None, known


def make_morphs(items: _scenes.Items, split: str) -> _scenes.Items:
    """MORPHS images made of items of different classes, or of one; none has a label."""
    pixels = np.empty((MORPHS, 28, 28), dtype=np.uint8)
    for number in range(MORPHS):
        rng = RandomStream(0, "morph", "stranger_scenes", f"{split}/{number}")
        one, two = (int(rng.integers(0, len(items.pixels))) for _ in range(2))
        while items.labels[two] == items.labels[one] and len(np.unique(items.labels)) > 1:
            two = int(rng.integers(0, len(items.pixels)))
        pixels[number] = _morph(items.pixels[one], items.pixels[two], rng)
    return _scenes.Items(pixels, np.full(MORPHS, -1, dtype=np.int64))


def _morph(one: _scenes.Pixels, two: _scenes.Pixels, rng: RandomStream) -> _scenes.Pixels:
    """Join halves of two items, or turn one by a quarter or a half and erase a band of 8 rows."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return np.concatenate([one[:14], two[14:]])
    if kind == 1:
        return np.concatenate([one[:, :14], two[:, 14:]], axis=1)
    item = np.rot90(one, kind - 1).copy()
    first = int(rng.integers(6, 15))
    item[first : first + 8] = 0
    return item
