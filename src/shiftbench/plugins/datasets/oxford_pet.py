"""The Oxford-IIIT Pet dataset from your own copy: photos of 37 breeds of cats and dogs, 3,680 + 3,669.

    datasets:
      oxford_pet: {root: /data/oxford-iiit-pet}

`root` holds `images/Breed_name_NUMBER.jpg` and `annotations/trainval.txt`, `annotations/test.txt`, as the authors'
archives do; a line of the lists is `Breed_name_NUMBER CLASS SPECIES BREED`, classes from 1. A class is the breed's
name, in the order of the numbers.

Source: Parkhi, Vedaldi, Zisserman and Jawahar, "Cats and Dogs", CVPR 2012.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _official

TITLE = "Oxford-IIIT Pet"
TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY-SA 4.0"
CITATION = "Parkhi, Vedaldi, Zisserman and Jawahar, Cats and Dogs, CVPR 2012"
REDISTRIBUTE = False
IN_ORDER = True
LISTS = {"train": "trainval", "test": "test"}


class Options(declare.Options):
    root: fields.Root = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the breeds, in the order of their numbers."""
    names = {int(label): _breed(name) for name, label, *_ in _lines("train", params)}
    return tuple(names[number] for number in sorted(names))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test` in the order of keys: `image` uint8 (h, w, 3) of any size, `label` 0 to 36."""
    images = _official.root("oxford_pet", params) / "images"
    for name, label, *_ in sorted(_lines(split, params)):
        yield _official.sample(f"oxford_pet/{name}", images / f"{name}.jpg", int(label) - 1)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    root = _official.root("oxford_pet", params)
    lists = root / f"annotations/{LISTS[split]}.txt"
    return {str(lists): "list of images", str(root / "images"): "the images"}


def _lines(split: str, params: dict[str, Any]) -> list[list[str]]:
    file = _official.root("oxford_pet", params) / f"annotations/{LISTS[split]}.txt"
    return [line.split() for line in _official.lines(file)]


def _breed(name: str) -> str:
    return name.rpartition("_")[0].lower()
