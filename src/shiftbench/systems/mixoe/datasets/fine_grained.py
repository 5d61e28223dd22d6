"""Birds, butterflies, cars and aircraft with classes held out, as MixOE splits them; from your own copies.

    datasets:
      car_0: {use: fine_grained, set: car, split: 0, root: /data/mixoe}
      car_0_fine: {use: fine_grained, set: car, split: 0, part: out, root: /data/mixoe}
      car_0_coarse: {use: fine_grained, set: car, split: 0, part: coarse, root: /data/mixoe}

`root` has `info/SET/{train,val,test}.txt`, the authors' lists (`path label`), and `data/SET/` with the images, as their
README lays them out. `RandomState(split).choice` draws the ID classes from the first ids; labels count them in
ascending order. `part: out` is fine OOD, and `coarse` is as many images of the other sets' lists as ID has, drawn by
Python's generator with seed 0. The authors stretch images, too, before they cut the middle 448 pixels.

Source: Zhang et al., "Mixture Outlier Exposure", WACV 2023. Birds: Van Horn et al., CVPR 2015 (NABirds, of whose 555
ids the first 255 take part). Butterflies: Chen et al. 2018 (Butterfly-200), whose labels run from 1 to 200 while
classes are drawn from 0 to 199: class 0 has no image and 200 is never used; `fixed_labels: true` counts from 0,
which the published numbers do not. Cars: Krause et al., 3dRR 2013. Aircraft: Maji et al. 2013, arXiv:1306.5151.
"""

import random  # noqa: TID251 - the authors' own draw of coarse OOD
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _lists
from shiftbench.plugins.datasets._lists import Line
from shiftbench.plugins.datasets._pictures import read_array
from shiftbench.plugins.models._images import resize, to_colour

TASK = "classification"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "research only, each set by its own terms (NABirds, Butterfly-200, Stanford Cars, FGVC-Aircraft)"
CITATION = (
    "Zhang et al., Mixture Outlier Exposure: Towards Out-of-Distribution Detection in Fine-grained Environments, "
    "WACV 2023; and the authors of the images"
)
REDISTRIBUTE = False
IN_ORDER = True
PARTS = ("in", "out", "coarse")


class Options(declare.Options):
    set: Literal["bird", "butterfly", "car", "aircraft"] = Field("car", description="set of images")
    split: int = Field(0, ge=0, description="number of the split into ID and held-out classes")
    part: Literal["in", "out", "coarse"] = Field(
        "in", description="ID classes, held-out classes, or images of other sets"
    )
    root: str = Field("", description="folder with the authors' lists (info/) and the images (data/)")
    fixed_labels: bool = Field(
        False, description="whether labels of butterflies count from 0, unlike in the published run"
    )
    counts: bool = Field(True, description="whether lists must give the published numbers of images")
    side: int = Field(512, ge=0, description="side that images are stretched to, in pixels; 0: as they are")
    licence: fields.Licence = ""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """One set: how many ids are known and unknown, where its images lie, the first label of its lists.

    `counts` are those of the ID train, val and test images and of the fine OOD test images, in splits 0 to 2.
    """

    known: int
    unknown: int
    folder: str
    first: int
    counts: tuple[tuple[int, int, int, int], ...]


SETS = {
    "bird": ImageSet(
        200, 55, "bird/images", 0, ((7377, 809, 8547, 2149), (7278, 812, 8449, 2247), (7219, 798, 8446, 2250))
    ),
    "butterfly": ImageSet(
        150,
        50,
        "butterfly/images_small",
        1,
        ((7072, 798, 11513, 3458), (6813, 735, 11019, 3952), (6941, 743, 11219, 3752)),
    ),
    "car": ImageSet(150, 46, "car", 0, ((5664, 623, 6210, 1831), (5657, 625, 6197, 1844), (5574, 633, 6131, 1910))),
    "aircraft": ImageSet(
        90, 10, "aircraft/images", 0, ((5396, 604, 3000, 333), (5380, 618, 3002, 331), (5400, 597, 3003, 330))
    ),
}
"""In the authors' order, in which other sets make up coarse OOD."""


def known(name: str, split: int) -> list[int]:
    """The ids of a set's known classes in a split, ascending.

    Example:
        >>> known("aircraft", 0)[:4], len(known("aircraft", 0))
        ([0, 1, 2, 3], 90)
    """
    image_set = SETS[name]
    ids = np.random.RandomState(split).choice(image_set.known + image_set.unknown, image_set.known, replace=False)
    return sorted(ids.tolist())


def class_ids(params: dict[str, Any]) -> list[int]:
    """The ids of the classes of a part, ascending; of coarse OOD none.

    Raises:
        ParamsError: no such set, part or split.
    """
    name, part, split = params["set"], params["part"], params["split"]
    if name not in SETS:
        raise ParamsError(f"fine_grained: set is {name!r}; {suggest(name, SETS)}")
    if part not in PARTS or split < 0:
        raise ParamsError(
            f"fine_grained: part is {part!r} and split {split}; expected in, out or coarse and a split of at least 0"
        )
    inside = known(name, split)
    total = range(SETS[name].known + SETS[name].unknown)
    return {"in": inside, "out": sorted(set(total) - set(inside)), "coarse": []}[part]


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """A name per class, the set and the id; of coarse OOD one name that no model has."""
    names = tuple(f"{params['set']}_{number:03d}" for number in class_ids(params))
    return names or ("out_of_distribution",)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of keys: `image` uint8 (side, side, 3), `label` counted within the part.

    An image that is missing or broken is yielded as an error.

    Raises:
        ParamsError: no root is given.
        DataError: a list is missing, or gives another number of images than published.
    """
    labels = {number: at for at, number in enumerate(class_ids(params))}
    if params["part"] == "coarse":
        chosen = [(line, folder, 0) for line, folder in _coarse(split, params)]
    else:
        own = _lines(params["set"], split, params)
        folder = _folder(params["set"], params)
        chosen = [(line, folder, labels[number]) for line, number in own if number in labels]
    _check(len(chosen), split, params)
    places = {line.key: (folder, label) for line, folder, label in chosen}
    for line in _lists.in_order((line for line, _, _ in chosen), _list(params["set"], split, params)):
        yield _sample(line, *places[line.key], params["side"])


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    others = [name for name in SETS if name != params["set"]]
    names = [params["set"], *(others if params["part"] == "coarse" else [])]
    lists = {str(_list(name, split, params)): f"the authors' list of {name}" for name in names}
    return lists | {str(_folder(name, params)): f"the images of {name}" for name in names}


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("fine_grained: option root is missing; give the folder that holds info/ and data/")
    return Path(params["root"]).expanduser()


def _list(name: str, split: str, params: dict[str, Any]) -> Path:
    return _root(params) / "info" / name / f"{split}.txt"


def _folder(name: str, params: dict[str, Any]) -> Path:
    return _root(params) / "data" / SETS[name].folder


def _lines(name: str, split: str, params: dict[str, Any]) -> list[tuple[Line, int]]:
    """The lines of one set's list, each with the id of its class."""
    file = _list(name, split, params)
    lines = _lists.lines(file, f"fine_grained/{name}")
    wrong = next((line for line in lines if not line.label.isdecimal()), None)
    if wrong:
        raise RangeError(f"{file} line {wrong.number}: the label {wrong.label!r} is no number")
    first = SETS[name].first if params["fixed_labels"] else 0
    return [(line, int(line.label) - first) for line in lines]


def _coarse(split: str, params: dict[str, Any]) -> list[tuple[Line, Path]]:
    """Images of the other sets, as many as the ID part has."""
    own = set(known(params["set"], params["split"]))
    count = sum(number in own for _, number in _lines(params["set"], split, params))
    others = [
        (line, _folder(name, params))
        for name in SETS
        if name != params["set"]
        for line, _ in _lines(name, split, params)
    ]
    return [others[at] for at in random.Random(0).sample(range(len(others)), count)]


def _check(count: int, split: str, params: dict[str, Any]) -> None:
    """Refuse lists that are not the published ones."""
    table = SETS[params["set"]].counts
    if not params["counts"] or params["fixed_labels"] or params["split"] >= len(table):
        return
    if params["part"] == "out" and split != "test":
        return  # nobody uses them, and no number is published
    at = 3 if params["part"] == "out" else NATIVE.index(split)
    expected = table[params["split"]][at]
    if count != expected:
        raise DataError(
            f"{_list(params['set'], split, params)} gives {count} images of part {params['part']} in split "
            f"{params['split']}, expected {expected}; bring the published lists, or set counts: false"
        )


def _sample(line: Line, folder: Path, label: int, side: int) -> Sample | DataError:
    try:
        image = to_colour(read_array(folder / line.path, line.key))
    except DataError as error:
        return error
    return Sample(line.key, {"image": resize(image, side, side, "bilinear") if side else image, "label": label})
