"""Your own images as text files list them: the layout of OpenOOD.

    datasets:
      tin:
        use: image_list
        root: /data/openood
        images: images_classic
        lists: {val: benchmark_imglist/cifar10/val_tin.txt, test: benchmark_imglist/cifar10/test_tin.txt}
        counts: {val: 1000, test: 7793}

Each line of a list is `path label`: the image below `root`/`images`, and an integer. `classes: folders` means the
folders of the images of the train list, in the order of their labels, as OODDB's lists have them. Without `classes`
each label is -1. `counts` is checked before the images of `without` are left out (OODDB's unknown textures contain 40
images of a known class). `shorter` and `side` resize and cut as `imagenet` does. Nothing is downloaded, and shards stay
local. A key is `image_list/` and the path, so that an image has one key in all lists.

Source: Zhang et al. 2023, "OpenOOD v1.5", arXiv:2306.09301; `ImglistDataset` of its repository reads the same lines.
We differ: truncated images are refused, what is transparent becomes white, and images are in the order of keys.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _lists, _options
from shiftbench.plugins.datasets._lists import Line
from shiftbench.plugins.datasets._pictures import read_array, square, squeezed

TASK = "classification"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = (
    "Zhang et al., OpenOOD v1.5: Enhanced Benchmark for Out-of-Distribution Detection, DMLR 2024, "
    "arXiv:2306.09301; and the authors of the images"
)
REDISTRIBUTE = False
IN_ORDER = True
OUT = -1
FOLDERS = "folders"
_INTEGER = re.compile(r"-?[0-9]+")


class Options(declare.Options):
    root: str = Field("", description="folder that `images` and `lists` are relative to")
    images: _options.Images = ""
    lists: dict[_options.Split, str] = Field({}, description="list of each split, a file in `root`")
    without: list[str] = Field([], description="lists whose images are left out, files in `root`")
    counts: _options.Counts = Field({})
    classes: list[str | int] | str | None = Field(
        None, description="class names, a dataset that has them, or `folders`; null: out of distribution"
    )
    shorter: _options.Shorter = 0
    side: _options.Side = 0
    squeezed: int = Field(0, ge=0, description="side of a square to which images are stretched, in pixels; 0: none")
    licence: fields.Licence = ""


def uses(params: dict[str, Any]) -> list[tuple[str, str]]:
    """The dataset whose classes the labels are."""
    named = params["classes"]
    return [("datasets", named)] if isinstance(named, str) and named != FOLDERS else []


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the classes; of an OOD set one name that no model has."""
    named = params["classes"]
    if named is None:
        return ("out_of_distribution",)
    if named == FOLDERS:
        split = "train" if "train" in params["lists"] else min(params["lists"], default="train")
        return _folders(_list(split, params))
    if not isinstance(named, str):
        return tuple(map(str, named))
    module = registry.find("datasets", named)
    known: tuple[str, ...] = (
        module.CLASSES if hasattr(module, "CLASSES") else module.classes(registry.defaults(module), {})
    )
    return known


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of keys: `image` uint8 (h, w) or (h, w, 3), `label` (0 in an OOD set).

    An image that is missing or broken and a label out of range are yielded as errors that name list and line.
    """
    file, images = _list(split, params), _root(params) / params["images"]
    count = None if params["classes"] is None else len(classes(params, sources))
    for line in _lists.in_order(_lines(split, params), file):
        try:
            sample = _sample(line, f"{file} line {line.number}", images, count)
            if params["squeezed"]:
                yield squeezed(sample, params["squeezed"])
            else:
                yield square(sample, params["shorter"], params["side"])
        except DataError as error:
            yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    count = params["counts"].get(split)
    images = str(_root(params) / params["images"])
    many = "images" if count is None else f"{count:,} images"
    others = {str(_root(params) / str(name)): "list of images" for name in params["without"]}
    return {str(_list(split, params)): f"list of {many}", images: "the images", **others}


def _folders(file: Path) -> tuple[str, ...]:
    """The folder of each label of a list, in the order of the labels."""
    pairs = {(line.label, PurePosixPath(line.path).parent.name) for line in _lists.lines(file, "image_list")}
    names = dict(pairs)
    counted = {str(number) for number in range(len(pairs))}
    if len(names) < len(pairs) or set(names) != counted:
        raise DataError(
            f"{file}: expected labels from 0, each of the images of one folder, found {sorted(pairs)[:4]}; "
            "name the classes"
        )
    return tuple(names[str(number)] for number in range(len(names)))


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("image_list: option root is missing; give the folder that lists and images are relative to")
    return Path(params["root"]).expanduser()


def _list(split: str, params: dict[str, Any]) -> Path:
    if split not in params["lists"]:
        there = ", ".join(params["lists"]) or "none"
        name = params.get("name", "image_list")
        raise ParamsError(f"datasets.{name}.lists names no list for {split}; it has {there}")
    return _root(params) / str(params["lists"][split])


def _lines(split: str, params: dict[str, Any]) -> list[Line]:
    """The lines of a list, without those of the lists that `without` names."""
    file = _list(split, params)
    lines = _lists.lines(file, "image_list")
    expected = params["counts"].get(split, len(lines) or 1)
    if len(lines) != expected:
        name = params.get("name", "image_list")
        raise DataError(
            f"{file} lists {len(lines)} images, expected {expected}; bring the published list, or change "
            f"datasets.{name}.counts.{split}"
        )
    others = [_lists.lines(_root(params) / str(name), "image_list") for name in params["without"]]
    apart = {line.key for other in others for line in other}
    return [line for line in lines if line.key not in apart]


def _sample(line: Line, where: str, images: Path, classes: int | None) -> Sample:
    """Read an image; `classes` is None in an OOD set."""
    allowed = range(OUT, 0) if classes is None else range(classes)
    if not _INTEGER.fullmatch(line.label) or int(line.label) not in allowed:
        expected = f"{OUT}, since no `classes` are given" if classes is None else f"0 to {classes - 1}"
        raise RangeError(f"{where}: {line.path} has the label {line.label!r}, expected {expected}")
    file = images / line.path
    if not file.is_file():
        raise DataError(f"{where}: the image {file} does not exist")
    image = read_array(file, f"{where}: {line.key}")
    return Sample(line.key, {"image": image, "label": max(0, int(line.label))})
