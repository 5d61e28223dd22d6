"""Scenes of clothes on photos, with exact boxes: items of Fashion-MNIST on pieces of scikit-image's photos.

The embedded stand-in for COCO. Scenes of `train` have items of Fashion-MNIST's train split on `train_photos`, those of
`test` items of its test split on `test_photos`: no item and no photo is in both. An item of `pasted` that is not in
`names` has no box.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; van der Walt et al. 2014; the scenes are ours, after those that
COCO-O (arXiv:2307.12730) was probed with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _scenes, fashion_mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.plugins.shifts import _scikit_photos

TITLE = "Clothes on photos"
TASK = "detection"
NATIVE = fashion_mnist.NATIVE
SOURCES = (*fashion_mnist.SOURCES, _scikit_photos.SOURCE)
LICENCE = "MIT (clothes); CC0 or public domain (photos; of moon and page nothing is stated)"
CITATION = (
    f"{fashion_mnist.CITATION}; van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, "
    "2014, doi:10.7717/peerj.453"
)
REDISTRIBUTE = True
IN_ORDER = True
FILES = {"train": "train", "test": "t10k"}


class Options(declare.Options):
    train: int = Field(1500, ge=0, description="number of training scenes")
    test: int = Field(200, ge=0, description="number of test scenes")
    names: list[str] = Field([], description="classes of Fashion-MNIST that have boxes; []: all ten")
    pasted: list[str] = Field([], description="classes that are pasted, with or without boxes; []: those of `names`")
    side: int = Field(128, ge=16, description="side of a scene, in pixels")
    objects: list[Annotated[int, Field(ge=0)]] = Field(
        [1, 4], min_length=2, max_length=2, description="fewest and most items of a scene; [0, 0]: photos alone"
    )
    sizes: list[Annotated[int, Field(ge=8)]] = Field(
        [28, 56], min_length=2, max_length=2, description="smallest and largest side of an item's image, in pixels"
    )
    rotation: float = Field(0.0, ge=0, le=180, description="largest turn of an item to either side, in degrees")
    overlap: float = Field(0.15, ge=0, le=1, description="IoU with another item from which a place is not taken")
    brightness: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.3, 0.8], min_length=2, max_length=2, description="smallest and largest factor of the photo's brightness"
    )
    crop: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.25, 1.0],
        min_length=2,
        max_length=2,
        description="smallest and largest side of the photo's piece, as a share of its shorter side",
    )
    shadow: int = Field(0, ge=0, description="offset of the items' shadows right and down, in pixels; 0: no shadows")
    tint: list[Annotated[float, Field(ge=0, le=2)]] = Field(
        [1.0, 1.0, 1.0], min_length=3, max_length=3, description="factors of red, green and blue of the photo"
    )
    train_photos: list[str] = Field(
        ["astronaut.png", "camera.png", "coffee.png", "clock_motion.png", "page.png"],
        min_length=1,
        description="scikit-image's photos behind training scenes",
    )
    test_photos: list[str] = Field(
        ["chelsea.png", "moon.png", "rocket.jpg"], min_length=1, description="scikit-image's photos behind test scenes"
    )


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The classes that have boxes."""
    return _named(params["names"] or fashion_mnist.CLASSES, "names")


def _named(names: Sequence[str], option: str) -> tuple[str, ...]:
    for name in names:
        if name not in fashion_mnist.CLASSES:
            raise ParamsError(f"photo_scenes: {option}: {name!r} ({suggest(name, fashion_mnist.CLASSES)})")
    if len(set(names)) < len(names):
        raise ParamsError(f"photo_scenes: {option} names a class twice: {', '.join(names)}")
    return tuple(names)


def look(split: str, params: dict[str, Any]) -> _scenes.Look:
    """Look of the scenes of a split.

    Raises:
        ParamsError: no scene can look like that, or a photo is in both splits.
    """
    both = set(params["train_photos"]) & set(params["test_photos"])
    if both:
        raise ParamsError(f"photo_scenes: {min(both)} is in train_photos and in test_photos")
    fields = [name for name in _scenes.Look.__slots__ if name in params]
    made: dict[str, Any] = {name: _frozen(params[name]) for name in fields}
    scene = _scenes.Look(**{**made, "photos": tuple(params[f"{split}_photos"])})
    scene.check("photo_scenes")
    return scene


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def items(split: str, names: Sequence[str], pasted: Sequence[str], folder: Path) -> _scenes.Items:
    """The items of a split that are pasted; labels are indices into `names`, -1 for others."""
    pixels = read_idx(folder / f"{FILES[split]}-images-idx3-ubyte")
    labels = read_idx(folder / f"{FILES[split]}-labels-idx1-ubyte").astype(np.int64)
    kept = np.isin(labels, [fashion_mnist.CLASSES.index(name) for name in pasted])
    of = np.array([list(names).index(name) if name in names else -1 for name in fashion_mnist.CLASSES])
    return _scenes.Items(pixels[kept], of[labels[kept]])


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (side, side, 3) and `boxes`."""
    names = classes(params, sources)
    pasted = _named(params["pasted"] or names, "pasted")
    drawn = items(split, names, pasted, sources[fashion_mnist.SOURCES[0]])
    how, name = look(split, params), params["name"]
    for number in range(params[split]):
        key = f"{name}/{split}/{number:06d}"
        image, boxes = _scenes.scene(RandomStream(0, "scene", "photo_scenes", key), drawn, how, sources)
        yield Sample(key, {"image": image, "boxes": boxes})
