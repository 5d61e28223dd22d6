"""Two kinds of clothing on two textures, which go together in training more often than in the test: a spurious cue.

    datasets:
      fm2s: {use: spurious_fashion, correlation: 0.9}
      spurious_digits: {use: spurious_fashion, part: digits}

`part: in` has pullovers (mostly on brick) and bags (mostly on grass): a share `correlation` of the training images
stands on its class's texture, of the test images `test_correlation`. Records have the group `pullover on grass`, ...
The other parts are out of distribution. On the same textures, half each, and so *spurious*: `digits` (MNIST), `garment`
(a third kind of clothing, `other`) and `texture` (nothing at all); `near` is that third kind on gravel, which is in no
training image.

The textures are scikit-image's photos at half their size; training images are cut from the upper 5/8, test images
from the lowest 5/16, so that no pixel is in both. A garment is pasted where its grey levels are above 0, opaque from 32
on. Object, crop and draw of an image are the same whatever the correlation: a sweep over it is one nuisance growing.

Source: Ming, Yin and Li, "On the Impact of Spurious Correlation for Out-of-distribution Detection", AAAI 2022
(correlation of class and environment; OOD with the environment and without the class); the images are ours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import unit_hash
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import MEANS, resize
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _idx, fashion_mnist, mnist
from shiftbench.plugins.datasets._pictures import open_picture

TASK = "classification"
CLASSES = ("pullover", "bag")
NATIVE = ("train", "test")
PHOTOS = "scikit_image_photos"
SOURCES = ("fashion_mnist", "mnist", PHOTOS)
LICENCE = "MIT (Fashion-MNIST); CC BY-SA 3.0 (MNIST); CC0 (photos)"
CITATION = f"{fashion_mnist.CITATION}; {mnist.CITATION}"
REDISTRIBUTE = True
PARTS = ("in", "digits", "garment", "texture", "near")
TEXTURES = ("brick", "grass")
"""Of the first and of the second class."""
NEW = "gravel"
SIDE, SHRUNK, SOFT = 28, 256, 8
ROWS = {"train": (0, 160), "test": (176, 256)}
"""Of the shrunk photos."""
BLANK = np.zeros((SIDE, SIDE), np.uint8)

Pixels = NDArray[np.uint8]


class Options(declare.Options):
    part: Literal["in", "digits", "garment", "texture", "near"] = Field(
        "in", description="the two classes, or one of four OOD sets"
    )
    correlation: float = Field(0.9, ge=0, le=1, description="share of the training images on their class's texture")
    test_correlation: float = Field(0.5, ge=0, le=1, description="share of the test images on their class's texture")
    other: str = Field("dress", description="third kind of clothing, a class of Fashion-MNIST")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The two classes; of the other parts one name that no model has."""
    return CLASSES if params["part"] == "in" else ("out_of_distribution",)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test` of the part: `image` uint8 (28, 28), `label`, and `meta` with the group.

    Raises:
        ParamsError: no such part or garment, or a correlation outside [0, 1].
        DataError: a photo cannot be read.
    """
    share = _texture_shares(params)[split]
    names = (NEW,) if params["part"] == "near" else TEXTURES
    photos = [_photo(sources[PHOTOS] / f"{name}.png", ROWS[split]) for name in names]
    things = list(_objects(split, sources, params))
    numbers = np.array([random_numbers(key) for key, _, _ in things])
    labels = np.array([label for _, _, label in things])
    at = np.where(numbers[:, 0] < share, labels, 1 - labels) % len(photos)
    crops = cut(np.stack(photos), at, numbers[:, 1:])
    images = paste(np.stack([image for _, image, _ in things]), crops)
    for number, (key, _, label) in enumerate(things):
        thing = CLASSES[label] if params["part"] == "in" else params["part"]
        meta = {"group": f"{thing} on {names[at[number]]}"}
        yield Sample(key, {"image": images[number], "label": label, "meta": meta})


def random_numbers(key: str) -> tuple[float, float, float]:
    """Three numbers in (0, 1) that belong to a key, whatever the options."""
    word = unit_hash("spurious_fashion", key)
    one, other, third = (((word >> shift & 0xFFFF) + 0.5) / 0x10000 for shift in (0, 16, 32))
    return one, other, third


def _texture_shares(params: dict[str, Any]) -> dict[str, float]:
    """The share of images on their class's texture, of each split; a half in other parts."""
    if params["part"] not in PARTS:
        raise ParamsError(f"spurious_fashion: part is {params['part']!r}; {suggest(params['part'], PARTS)}")
    others = [name for name in fashion_mnist.CLASSES if name not in CLASSES]
    if params["other"] not in others:
        raise ParamsError(f"spurious_fashion: other is {params['other']!r}; {suggest(params['other'], others)}")
    shares = {"train": params["correlation"], "test": params["test_correlation"]}
    if not all(0 <= share <= 1 for share in shares.values()):
        raise ParamsError(f"spurious_fashion: correlations {shares}; expected shares from 0 to 1")
    return shares if params["part"] == "in" else dict.fromkeys(shares, 0.5)


def _objects(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[tuple[str, Pixels, int]]:
    """Yield key, object uint8 (28, 28) and label of each image to be."""
    part = params["part"]
    if part in ("digits", "texture"):
        originals = _idx.samples("mnist", split, sources["mnist"])
        labels = dict.fromkeys(range(10), 0)
    else:
        originals = _idx.samples("fashion_mnist", split, sources["fashion_mnist"])
        kinds = CLASSES if part == "in" else (params["other"],)
        labels = {fashion_mnist.CLASSES.index(name): at for at, name in enumerate(kinds)}
    for sample in originals:
        if sample.fields["label"] in labels:
            image = BLANK if part == "texture" else sample.fields["image"]
            number = sample.key.rpartition("/")[2]
            key = f"spurious_fashion/{split}/{part}_{number}"
            yield key, image, labels[sample.fields["label"]]


def _photo(file: Path, rows: tuple[int, int]) -> Pixels:
    photo: Image.Image = open_picture(file, f"spurious_fashion: {file.name}").convert("L")
    shrunk: Pixels = np.asarray(resize(photo, SHRUNK, SHRUNK, MEANS))
    return shrunk[slice(*rows)]


def cut(photos: Pixels, indices: NDArray[np.int64], at: NDArray[np.float64]) -> Pixels:
    """Crops of photos, uint8 (n, 28, 28).

    Args:
        photos: uint8 (photos, h, w).
        indices: photo of each crop.
        at: its place, down and across, from 0 to 1, (n, 2).
    """
    room = np.array(photos.shape[1:]) - SIDE + 1
    top, left = (at * room).astype(np.int64).T
    steps = np.arange(SIDE)
    rows, columns = top[:, None, None] + steps[:, None], left[:, None, None] + steps
    crops: Pixels = photos[indices[:, None, None], rows, columns]
    return crops


def paste(images: Pixels, textures: Pixels) -> Pixels:
    """Objects on textures, uint8 of their shape: opaque from 32 on, clear where they are 0."""
    opaque = np.minimum(images.astype(np.int32) * SOFT, 255)
    blend = images * opaque + textures * (255 - opaque)
    composites: Pixels = ((blend + 127) // 255).astype(np.uint8)
    return composites
