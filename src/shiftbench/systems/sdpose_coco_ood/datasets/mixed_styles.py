"""Pictures in many manners without a label, for a prior: pieces of photos, collages of digits and clothes, bodies.

A third each, in turn: a piece of a training photo; up to nine items of MNIST's and Fashion-MNIST's train splits in
random colours on a random ground; a body of capsules as `capsule_bodies` draws them (other bodies, on training photos).
Two in three of all get a manner out of `MANNERS` at a random severity: shifts that no test of this system has. Nobody's
joints are told: `poses` is empty.

Source: ours, in place of what Stable Diffusion has seen.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import resize_array
from shiftbench.data.skeletons import COCO_17
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _bodies, capsule_bodies, fashion_mnist, mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.plugins.shifts import _scikit_photos

TASK = "keypoints"
CLASSES = COCO_17
NATIVE = ("train", "test")
SOURCES = (*capsule_bodies.SOURCES, *fashion_mnist.SOURCES, *mnist.SOURCES)
LICENCE = f"{capsule_bodies.LICENCE}; MIT (clothes); of the digits nothing is stated"
CITATION = f"{capsule_bodies.CITATION}; {fashion_mnist.CITATION}; {mnist.CITATION}"
REDISTRIBUTE = True
IN_ORDER = True
MANNERS = ("kuwahara", "posterise", "edge_sketch", "greyscale", "saturate", "inversion", "speckle_noise", "pixelate")
ITEMS = 9
Pixels = NDArray[np.uint8]


class Options(declare.Options):
    train: int = Field(3000, ge=0, description="number of training pictures")
    test: int = Field(10, ge=0, description="number of test pictures")
    height: int = Field(128, ge=32, le=4096, description="height of a picture, in pixels")
    width: int = Field(96, ge=32, le=4096, description="width of a picture, in pixels")


def uses(params: dict[str, Any]) -> list[tuple[str, str]]:
    """The shifts that images are changed by."""
    return [("shifts", name) for name in MANNERS]


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (height, width, 3) and no `poses`.

    Raises:
        DataError: an original is not there.
    """
    name = params.get("name", "mixed_styles")
    stock = [
        read_idx(sources[source] / "train-images-idx3-ubyte") for source in (*fashion_mnist.SOURCES, *mnist.SOURCES)
    ]
    for number in range(params[split]):
        key = f"{name}/{split}/{number:06d}"
        rng = RandomStream(0, "mixed", "mixed_styles", key)
        image = (_photo, _collage, _body)[number % 3](rng, sources, params, stock)
        yield Sample(key, {"image": _in_a_manner(image, rng, key), "poses": []})


def _photo(rng: RandomStream, sources: dict[str, Path], params: dict[str, Any], stock: list[Pixels]) -> Pixels:
    shape = params["height"], params["width"], 3
    return _scikit_photos.crop(shape, rng, sources, _scikit_photos.TRAINING).pixels


def _collage(rng: RandomStream, sources: dict[str, Path], params: dict[str, Any], stock: list[Pixels]) -> Pixels:
    height, width = params["height"], params["width"]
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = rng.integers(0, 256, 3)
    for _ in range(int(rng.integers(1, ITEMS + 1))):
        items = stock[int(rng.integers(0, len(stock)))]
        side = int(rng.integers(14, min(height, width) // 2))
        item = resize_array(items[int(rng.integers(0, len(items)))], side, side).astype(np.int64)
        top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        part = image[top : top + side, left : left + side].astype(np.int64)
        colour = rng.integers(0, 256, 3)
        mixed = part * (255 - item[..., None]) + colour * item[..., None]
        image[top : top + side, left : left + side] = (mixed + 127) // 255
    return image


def _body(rng: RandomStream, sources: dict[str, Path], params: dict[str, Any], stock: list[Pixels]) -> Pixels:
    body = _bodies.drawn(rng, 0.5, 60.0, 15.0)
    options = {**registry.defaults(capsule_bodies), "height": params["height"], "width": params["width"]}
    photos = list(_scikit_photos.TRAINING)
    image: Pixels = capsule_bodies.sample("-", body, rng, sources, photos, options).fields["image"]
    return image


def _in_a_manner(image: Pixels, rng: RandomStream, key: str) -> Pixels:
    """An image in one of `MANNERS`, at a severity of 1 to 5, or as it is."""
    number, severity = int(rng.integers(0, 3 * len(MANNERS) // 2)), int(rng.integers(1, 6))
    if number >= len(MANNERS):
        return np.ascontiguousarray(image)
    module = registry.find("shifts", MANNERS[number])
    words = RandomStream(0, MANNERS[number], "mixed_styles", key)
    changed: Pixels = module.apply(image, float(severity), words, **registry.defaults(module))
    return changed
