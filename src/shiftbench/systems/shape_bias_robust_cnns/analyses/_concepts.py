"""Pictures with the places of concepts in them: drawn from pixels and labels, or read from Broden.

Drawn concepts are an analogue of Broden's annotations for pictures on black: edges and stripes (`texture`), greys
(`colour`), and the silhouette of a picture of each class (`object`).

Broden 1.0 (Bau et al. 2017) is a folder with `index.csv` (a picture and, for each category, its labels for the whole
picture as numbers or its maps as PNG, number = red + 256 green), `label.csv` (names, and how many whole pictures each
covers in each category) and `images/`. A label is of the category in which it covers most, as the released code has it.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._pictures import read_array

EDGE, STEP = (20, 160)  # what is brighter is the object; rise of Sobel's gradient (4 times a step) that is an edge
GREYS = {"dark": (21, 85), "middle": (86, 170), "bright": (171, 255)}
LOW = ("texture", "colour", "color", "material")
CATEGORIES = ("object", "part", "scene", "texture", "color", "material")
BATCH = 100
_CATEGORY = re.compile(r"([^(;]+)\(([0-9]+)\)")
Concept = tuple[str, str]
"""Category and name."""
Masks = dict[Concept, NDArray[np.bool_]]


class Annotated(NamedTuple):
    """A picture, the numbers of the concepts in it, and where each is, bool (k, h, w)."""

    sample: Sample
    concepts: NDArray[np.int64]
    masks: NDArray[np.bool_]


class Source(Protocol):
    """Annotated pictures that can be read again and again."""

    @property
    def names(self) -> Sequence[Concept]:
        """The concepts; their numbers are positions here."""
        ...

    def batches(self) -> Iterator[list[Annotated]]:
        """Yield the pictures in lists."""
        ...


class Drawn:
    """Pictures of a set, with concepts drawn from each.

    Args:
        batches: the pictures, grey or colour, on black.
        classes: how many classes the set has.
    """

    def __init__(self, batches: list[list[Sample]], classes: int) -> None:
        annotated = [[(sample, masks(sample, classes)) for sample in batch] for batch in batches]
        self.names: Sequence[Concept] = list(annotated[0][0][1])
        every = np.arange(len(self.names))
        self._batches = [
            [Annotated(sample, every, np.stack(list(concept_masks.values()))) for sample, concept_masks in batch]
            for batch in annotated
        ]

    def batches(self) -> Iterator[list[Annotated]]:
        """Yield the pictures in lists."""
        yield from self._batches


def masks(sample: Sample, classes: int) -> Masks:
    """Mask of each concept in a picture; silhouettes of the other classes are empty."""
    image = np.asarray(sample.fields["image"])
    grey = (image if image.ndim == 2 else image.mean(axis=2)).astype(np.int64)
    concepts: Masks = {("texture", name): mask for name, mask in _edges(grey).items()}
    for name, (low, high) in GREYS.items():
        concepts["colour", name] = (grey >= low) & (grey <= high)
    for label in range(classes):
        concepts["object", f"class_{label}"] = (grey > EDGE) & (label == int(sample.fields["label"]))
    return concepts


def _edges(grey: NDArray[np.int64]) -> Mapping[str, NDArray[np.bool_]]:
    padded = np.pad(grey, 1, mode="edge")
    step = padded[2:] - padded[:-2]
    vertical = np.abs(step[:, :-2] + 2 * step[:, 1:-1] + step[:, 2:])
    step = padded[:, 2:] - padded[:, :-2]
    horizontal = np.abs(step[:-2] + 2 * step[1:-1] + step[2:])
    strong = vertical + horizontal >= STEP
    return {
        "edges": strong,
        "horizontal_stripes": strong & (vertical >= 2 * horizontal),
        "vertical_stripes": strong & (horizontal >= 2 * vertical),
    }


class Broden:
    """Broden's pictures and annotations, read when they are asked for.

    Args:
        root: the folder with `index.csv`, `label.csv` and `images/`.
        most: how many pictures at most, the first ones.
    """

    def __init__(self, root: Path, most: int) -> None:
        self._root, self._most = root, most

    @cached_property
    def _labels(self) -> dict[int, Concept]:
        """Label's number -> its category and name."""
        concepts = {}
        for row in self._rows("label.csv", ("number", "name", "category")):
            covers = {name: int(count) for name, count in _CATEGORY.findall(row["category"])}
            categories = [name for name in CATEGORIES if name in covers]
            if categories:
                best = max(categories, key=lambda name: (covers[name], CATEGORIES.index(name)))
                concepts[int(row["number"])] = (best, row["name"])
        return concepts

    @property
    def names(self) -> Sequence[Concept]:
        """The concepts, in the order of their numbers."""
        return list(self._labels.values())

    def batches(self) -> Iterator[list[Annotated]]:
        """Yield the pictures in lists, those without any annotation left out.

        Raises:
            DataError: a file is missing, or has another form.
        """
        rows = self._rows("index.csv", ("image", "sh", "sw", *CATEGORIES))
        annotated_rows = (row for row in rows if any(row[name] for name in CATEGORIES))
        pictures = islice(map(self._read, annotated_rows), self._most)
        while batch := list(islice(pictures, BATCH)):
            yield batch

    def _rows(self, name: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
        file = self._root / name
        if not file.is_file():
            raise DataError(f"{file} does not exist; give the folder of Broden that holds it")
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{file} has no column {missing[0]}; it has {reader.fieldnames}")
            yield from reader

    def _read(self, row: Mapping[str, str]) -> Annotated:
        numbers = {number: position for position, number in enumerate(self._labels)}
        shape = int(row["sh"]), int(row["sw"])
        concept_masks: dict[int, NDArray[np.bool_]] = {}
        for value in (part for name in CATEGORIES for part in row[name].split(";") if part):
            layer = np.full(shape, int(value)) if value.isdecimal() else self._map(value, shape)
            for number in set(np.unique(layer).tolist()) & set(numbers):
                position = numbers[number]
                concept_masks[position] = concept_masks.get(position, np.zeros(shape, bool)) | (layer == number)
        image = read_array(self._root / "images" / row["image"], row["image"])
        stacked = np.stack(list(concept_masks.values())) if concept_masks else np.zeros((0, *shape), bool)
        sample = Sample(f"broden/{row['image']}", {"image": image})
        return Annotated(sample, np.array(list(concept_masks), dtype=np.int64), stacked)

    def _map(self, name: str, shape: tuple[int, int]) -> NDArray[np.int64]:
        pixels = read_array(self._root / "images" / name, name).astype(np.int64)
        if pixels.shape != (*shape, 3):
            raise DataError(
                f"{self._root / 'images' / name} is {pixels.shape}, expected {(*shape, 3)} as index.csv states"
            )
        numbers: NDArray[np.int64] = pixels[..., 0] + 256 * pixels[..., 1]
        return numbers
