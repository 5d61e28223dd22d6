"""Images with boxes in the layout of YOLO: a yaml file, folders of images, and a text file of boxes for each image.

    datasets:
      bdd100k: {use: yolo_boxes, path: /data/bdd100k/data.yaml}
      bdd_ood_near: {use: yolo_boxes, path: /data/bdd-ood/near.yaml, like: /data/bdd100k/data.yaml, unlabelled: true}

The yaml file has `names` (a list, or number: name), `train`, `val`, and maybe `test` and `path` (the folder that they
are relative to, itself relative to the yaml file's). Of IMAGES/…/x.jpg the boxes stand in LABELS/…/x.txt, where the
last folder `images` of the path is named `labels`: one a line, `class cx cy w h` in shares of width and height. An
image without that file, or with an empty one, contains no object: background. By default `val` is tested, since
BDD-100K's test labels are not public.

Source: the format of Ultralytics' YOLO (https://docs.ultralytics.com/datasets/detect/), in which m-hood
(arXiv:2503.07330) publishes its sets. Licence: that of your data; state it (`licence`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets._pictures import SUFFIXES, read_array
from shiftbench.plugins.models._images import to_colour

TITLE = "Images with YOLO boxes"
TASK = "detection"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "that of your images"
CITATION = "that of your images"
REDISTRIBUTE = False
IN_ORDER = True


class Options(declare.Options):
    path: str = Field("", description="yaml file of the dataset")
    like: str = Field("", description="yaml file of the detector's classes, for OOD images; empty: `path`")
    test_split: str = Field("val", description="entry of the yaml file that is the test split")
    unlabelled: bool = Field(False, description="read no boxes, since theirs are of other classes")
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of `like`, or of the dataset itself."""
    file = Path(params["like"] or _path(params))
    names = read(file).get("names")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise DataError(f"{file}: names are numbered {sorted(names)}; expected 0 to {len(names) - 1}")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{file} names no classes; expected `names:` with a list")
    return tuple(str(name) for name in names)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w, 3) and `boxes`; a bad image or label file as its error."""
    count = len(classes(params, sources))
    folder = folder_of(split, params)
    files = sorted(
        (file.relative_to(folder).with_suffix("").as_posix().replace(".", "_"), file)
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    if not files:
        raise DataError(f"{folder} holds no images")
    for stem, file in files:
        key = f"{params['name']}/{split}/{stem}"
        try:
            image = to_colour(read_array(file, key))
            labels = None if params["unlabelled"] else labels_of(file)
            yield Sample(key, {"image": image, "boxes": boxes(labels, image.shape, count)})
        except DataError as error:
            yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides: path -> description."""
    path = _path(params)
    if not path.is_file():
        return {str(path): "YOLO's yaml file"}
    return {str(path): "YOLO's yaml file", str(folder_of(split, params)): f"images of {split}"}


def _path(params: dict[str, Any]) -> Path:
    if not params["path"]:
        raise ParamsError("yolo_boxes: path is missing; give the yaml file of the dataset")
    return Path(params["path"])


def read(file: Path) -> dict[str, Any]:
    """Content of a yaml file of YOLO.

    Raises:
        DataError: it is not there, or no mapping.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected YOLO's yaml file")
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise DataError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is no mapping; expected `names`, `train` and `val`")
    return content


def folder_of(split: str, params: dict[str, Any]) -> Path:
    """The folder of the images of a split.

    Raises:
        DataError: the yaml file names none, or it is not there.
    """
    file = _path(params)
    content, entry = read(file), params["test_split"] if split == "test" else "train"
    if not isinstance(content.get(entry), str):
        raise DataError(f"{file} has no folder `{entry}:`; it has {', '.join(map(str, content))}")
    folder: Path = file.parent / str(content.get("path") or "") / str(content[entry])
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder ({file}, {entry})")
    return folder


def labels_of(image: Path) -> Path:
    """The text file of an image's boxes, whether it is there or not.

    Raises:
        DataError: no folder of the path is called `images`.
    """
    parts = list(image.parts)
    if "images" not in parts:
        raise DataError(f"{image}: no folder of its path is called images, as YOLO's layout has it")
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def boxes(file: Path | None, shape: tuple[int, ...], classes: int) -> list[dict[str, Any]]:
    """The boxes of a text file in pixels of an image (h, w, ...), cut off at its edges; none without the file.

    Raises:
        DataError: a line is no box; names file and line.
        RangeError: a class that there is not, or a box outside of the image.
    """
    if file is None or not file.is_file():
        return []
    height, width = shape[:2]
    rows = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip():
            continue
        label, (cx, cy, w, h) = _line(line, f"{file}, line {number}", classes)
        left, top = max(0.0, (cx - w / 2) * width), max(0.0, (cy - h / 2) * height)
        right, bottom = (min(float(width), (cx + w / 2) * width), min(float(height), (cy + h / 2) * height))
        rows.append({"box": [left, top, right - left, bottom - top], "label": label})
    return rows


def _line(line: str, where: str, classes: int) -> tuple[int, tuple[float, ...]]:
    try:
        label, *numbers = (float(word) for word in line.split())
    except ValueError:
        numbers, label = [], -1.0
    if len(numbers) != 4 or label != int(label):
        raise DataError(f"{where}: {line.strip()!r}; expected `class cx cy w h`")
    if not 0 <= label < classes:
        raise RangeError(f"{where}: class {label:g}; there are {classes} (0 to {classes - 1})")
    cx, cy, w, h = numbers
    if not (0 <= cx <= 1 and 0 <= cy <= 1 and 0 < w <= 1.001 and 0 < h <= 1.001):
        raise RangeError(f"{where}: {line.strip()!r}; expected shares of width and height, 0 to 1")
    return int(label), (cx, cy, w, h)
