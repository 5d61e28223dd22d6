"""Scenes of clothes on photos, with exact boxes: items of Fashion-MNIST on pieces of scikit-image's photos.

The embedded stand-in for COCO. Scenes of `train` have items of Fashion-MNIST's train split on `train_photos`, those of
`test` items of its test split on `test_photos`: no item and no photo is in both. Options say how scenes look
(`_scenes.Look`). `names` are the dataset's classes (none: all ten); `pasted` are those that are drawn (none: the
same): one that is no class is pasted without a box. `objects: [0, 0]` gives photos alone.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; van der Walt et al. 2014; the scenes are ours, after those that
COCO-O (arXiv:2307.12730) was probed with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
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
PARAMS: dict[str, object] = {
    "train": 1500,
    "test": 200,
    "names": [],
    "pasted": [],
    "side": 128,
    "objects": [1, 4],
    "sizes": [28, 56],
    "rotation": 0.0,
    "overlap": 0.15,
    "brightness": [0.3, 0.8],
    "crop": [0.25, 1.0],
    "shadow": 0,
    "tint": [1.0, 1.0, 1.0],
    "train_photos": ["astronaut.png", "camera.png", "coffee.png", "clock_motion.png", "page.png"],
    "test_photos": ["chelsea.png", "moon.png", "rocket.jpg"],
}


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
