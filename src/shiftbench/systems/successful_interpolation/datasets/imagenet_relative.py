"""Test sets with classes of ImageNet, as they are published: ImageNet-V2, -R, -A, -Sketch, and ObjectNet.

    datasets:
      imagenet_r: {use: imagenet_relative, variant: r, root: /data/imagenet-r}
      objectnet: {use: imagenet_relative, variant: objectnet, root: /data/objectnet-1.0/images,
        lists: /data/wise-ft/src/datasets/objectnet_metadata}

Folders are named by number (0 to 999, V2), by synset (R, A, Sketch), or as
ObjectNet names its 313 folders, of which 113 count. Classes are those of ImageNet that have a folder, in its order; a
class of ObjectNet is several of ImageNet's, joined by `|`, in the order of its folders' names. Of ObjectNet's pictures
a border of two pixels is cut off, which is red.

Source: Recht et al. 2019 (V2), Hendrycks et al. 2021 (R, A), Wang et al. 2019 (Sketch), Barbu et al. 2019 (ObjectNet);
folders, classes and the border as in `src/datasets` of mlfoundations/wise-ft, whose clone has ObjectNet's four lists.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import class_samples, list_classes, square

TASK = "classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of ImageNet and of each set; ObjectNet's allow testing alone"
CITATION = "Recht et al. 2019; Hendrycks et al. 2021; Wang et al. 2019; Barbu et al. 2019"
REDISTRIBUTE = False
VARIANTS = ("v2", "r", "a", "sketch", "objectnet")
BORDER = 2
FILES = (
    "folder_to_objectnet_label.json",
    "objectnet_to_imagenet_1k.json",
    "pytorch_to_imagenet_2012_id.json",
    "imagenet_to_label_2012_v2",
)


class Options(declare.Options):
    root: str = Field("", description="folder with a folder of images for each class")
    variant: Literal["v2", "r", "a", "sketch", "objectnet"] = Field(
        "r", description="test set: ImageNet-V2, -R, -A, -Sketch, or ObjectNet"
    )
    lists: str = Field("", description="folder with ObjectNet's four lists, from wise-ft")
    shorter: int = Field(0, ge=0, description="shorter side of the stored images, in pixels; 0: as they are")
    side: int = Field(0, ge=0, description="side of the stored central crop, in pixels; 0: as `shorter`")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the classes, ImageNet's; those of ObjectNet are joined by `|`."""
    names = registry.find("datasets", "imagenet").classes({}, {})
    return tuple("|".join(names[number] for number in numbers) for numbers in _folders(params).values())


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield all images: `image` uint8 (h, w) or (h, w, 3) of any size, `label` 0 to C - 1.

    Raises:
        ParamsError: no root, no lists, or another variant.
        DataError: a folder is no class, or a list is missing or names a class that ImageNet does not have.
    """
    labels = {name: label for label, name in enumerate(_folders(params))}
    prefix = f"{params.get('name', 'imagenet_relative')}/{split}"
    for sample in class_samples(prefix, _root(params), labels):
        if params["variant"] == "objectnet" and isinstance(sample, Sample):
            image = sample.fields["image"][BORDER:-BORDER, BORDER:-BORDER]
            sample = sample.with_field("image", np.ascontiguousarray(image))  # noqa: PLW2901
        yield square(sample, params["shorter"], params["side"])


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split: path -> description."""
    required = {str(_root(params)): f"images of ImageNet's relative {params['variant']}, a folder for each class"}
    if params["variant"] == "objectnet":
        required |= {str(_lists(params) / name): "a list of ObjectNet's classes" for name in FILES}
    return required


def _folders(params: dict[str, Any]) -> dict[str, list[int]]:
    """Class folders -> ImageNet's numbers of the class, in the order of the labels."""
    if params["variant"] == "objectnet":
        return _objectnet(params)
    synsets = _synsets()
    numbers: dict[str, int] = {}
    for name in list_classes(_root(params)):
        number = int(name) if name.isdigit() else synsets.get(name, -1)
        if not 0 <= number < len(synsets):
            raise DataError(
                f"{_root(params) / name} is no class of ImageNet-1k; expected folders n01440764 to n15075141, or 0 to "
                "999"
            )
        numbers[name] = number
    return {name: [number] for name, number in sorted(numbers.items(), key=lambda pair: pair[1])}


def _objectnet(params: dict[str, Any]) -> dict[str, list[int]]:
    folder_of_label = {label: folder for folder, label in _read(params, FILES[0]).items()}
    number_of_2012 = {number: int(pytorch_number) for pytorch_number, number in _read(params, FILES[2]).items()}
    lines = _text(params, FILES[3]).splitlines()
    number = {name.strip(): number_of_2012[number_of_line] for number_of_line, name in enumerate(lines)}
    classes_of_folder = {}
    for label, names in _read(params, FILES[1]).items():
        unknown = [name for name in names.split("; ") if name not in number]
        if unknown:
            raise DataError(f"{_lists(params) / FILES[1]}: {unknown[0]!r} is no class of {FILES[3]}")
        classes_of_folder[folder_of_label[label]] = [number[name] for name in names.split("; ")]
    return dict(sorted(classes_of_folder.items()))


def _synsets() -> dict[str, int]:
    file = Path(registry.file("datasets", "imagenet")).with_name("imagenet_synsets.txt")
    return {name: index for index, name in enumerate(file.read_text(encoding="ascii").split())}


def _read(params: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(_text(params, name))
    except ValueError as error:
        raise DataError(f"{_lists(params) / name} is no JSON: {error}") from None
    return content


def _text(params: dict[str, Any], name: str) -> str:
    file = _lists(params) / name
    if not file.is_file():
        raise DataError(
            f"the list {file} does not exist; `lists` is src/datasets/objectnet_metadata of a clone of "
            "mlfoundations/wise-ft"
        )
    return file.read_text(encoding="utf-8")


def _lists(params: dict[str, Any]) -> Path:
    if not params["lists"]:
        raise ParamsError("imagenet_relative: option lists is missing; ObjectNet's classes are in wise-ft")
    return Path(params["lists"]).expanduser()


def _root(params: dict[str, Any]) -> Path:
    if params["variant"] not in VARIANTS:
        raise ParamsError(f"variant is {params['variant']!r}; {suggest(params['variant'], VARIANTS)}")
    if not params["root"]:
        raise ParamsError("imagenet_relative: option root is missing; give the folder of class folders")
    return Path(params["root"]).expanduser()
