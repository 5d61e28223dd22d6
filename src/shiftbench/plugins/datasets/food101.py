"""Food-101 from your own copy: photos of 101 dishes, 750 + 250 of each.

    datasets:
      food101: {root: /data/food-101}

`root` holds `images/CLASS/NUMBER.jpg` and `meta/classes.txt`, `meta/train.txt`, `meta/test.txt`, as the authors'
archive does; a line of the lists is `CLASS/NUMBER`.

Source: Bossard, Guillaumin and Van Gool, "Food-101 - Mining Discriminative Components with Random Forests", ECCV 2014.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _official

TITLE = "Food-101"
TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the photos are of foodspotting.com's users; research use"
CITATION = (
    "Bossard, Guillaumin and Van Gool, Food-101 - Mining Discriminative Components with Random Forests, ECCV 2014"
)
REDISTRIBUTE = False
IN_ORDER = True


class Options(declare.Options):
    root: fields.Root = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the dishes, in the order of the authors' list."""
    return tuple(_official.lines(_official.root("food101", params) / "meta/classes.txt"))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test` in the order of keys: `image` uint8 (h, w, 3) of any size, `label` 0 to 100."""
    root = _official.root("food101", params)
    labels = {name: label for label, name in enumerate(classes(params, sources))}
    listed = sorted(_official.lines(root / f"meta/{split}.txt"))
    for line in listed:
        label = labels[line.partition("/")[0]]
        yield _official.sample(f"food101/{line}", root / f"images/{line}.jpg", label)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    root = _official.root("food101", params)
    return {str(root / f"meta/{split}.txt"): "list of images", str(root / "images"): "the images"}
