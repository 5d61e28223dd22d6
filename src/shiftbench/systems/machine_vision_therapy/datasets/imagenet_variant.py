"""ImageNet, -V2, -A, -R, -Sketch and -V (ViewFool) by the lists of Machine Vision Therapy: exemplars and 5,000 images.

    datasets:
      mvt_a: {use: imagenet_variant, root: /data/imagenet_variants, lists: /data/Machine_Vision_Therapy, variant: a}

`lists` is a clone of tmllab/Machine_Vision_Therapy (`mydatasets/data_paths/*-test-5k.txt`, `split/examplar_*.json`),
`root` holds the variants' folders as they are unpacked: `ImageNet/val` (a folder for each synset),
`ImageNetV2-matched-frequency` (folders 0 to 999 or 0000 to 0999), `imagenet-a`, `imagenet-r`, `imagenet-sketch`,
`imagenet-v`. Split `train` are the exemplars, three of each class, `test` the 5,000 images.

Classes are those of ImageNet that the lists name, in ImageNet's order: 1,000, and 200, 200 and 100 of -A, -R and -V,
which are the masks that the authors apply; predictions are then restricted to them. The lists count a variant's own
folders, which is the same order.

The released lists overlap: 295 exemplars of ImageNet's validation set and 6 of -A are among the 5,000 images.

Source: lists of Huang et al. 2024, arXiv:2312.02546, at cb40cb5; sets of Recht et al. 2019 (V2), Hendrycks et al. 2021
(A, R), Wang et al. 2019 (Sketch), Dong et al. 2022 (V). The images may not be passed on.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import read_array, square

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of ImageNet and of each variant: non-commercial research"
CITATION = (
    "Huang et al., Machine Vision Therapy: Multimodal Large Language Models Can Enhance Visual Robustness via "
    "Denoising In-Context Learning, ICML 2024, arXiv:2312.02546; and the authors of the variants"
)
REDISTRIBUTE = False
IN_ORDER = True
VARIANTS = {
    "val": ("ImageNet-test-5k", "ImageNet", "ImageNet/val"),
    "v2": ("imagenet-v2-test-5k", "ImageNetV2", "ImageNetV2-matched-frequency"),
    "a": ("imagenet-a-test-5k", "ImageNetA", "imagenet-a"),
    "r": ("imagenet-r-test-5k", "ImageNetR", "imagenet-r"),
    "sketch": ("imagenet-sketch-test-5k", "ImageNetSketch", "imagenet-sketch"),
    "v": ("imagenet-v-test-5k", "ImageNetV", "imagenet-v"),
}
"""Variant -> list of tested images, exemplars' list, folder of its images."""
OVERLAP = ("drop", "keep")
Place = tuple[str, str]
"""A class's folder and an image's name."""


class Options(declare.Options):
    root: str = Field("", description="folder with the folders of the variants")
    lists: str = Field("", description="clone of tmllab/Machine_Vision_Therapy, which has the lists")
    variant: Literal["val", "v2", "a", "r", "sketch", "v"] = Field(
        "a", description="set of images; val: ImageNet's own"
    )
    overlap: Literal["drop", "keep"] = Field("drop", description="exemplars that are tested, too: left out, or kept")
    shorter: int = Field(0, ge=0, description="shorter side that images are resized to, in pixels; 0: as they are")
    side: int = Field(0, ge=0, description="side of the square cut from the middle, in pixels; 0: not cut")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the variant's classes, ImageNet's, in its order."""
    names = registry.find("datasets", "imagenet").classes({}, {})
    return tuple(names[number] for number in _numbers(params))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield exemplars (`train`) or tested images in the order of keys: `image` uint8, `label` 0 to C - 1.

    Raises:
        ParamsError: no root, no lists, or another variant.
        DataError: a list is missing, damaged, or of another set.
    """
    variant, numbers = params["variant"], _numbers(params)
    folder = _root(params) / VARIANTS[variant][2]
    label = {number: at for at, number in enumerate(numbers)}
    test_images = set(_test_images(params))
    places = sorted(test_images)
    if split == "train":
        exemplars = [one for one in _exemplars(params) if params["overlap"] == "keep" or one not in test_images]
        places = sorted(set(exemplars))
    keys = [
        (f"imagenet_variant/{variant}/{name}/{Path(file).stem}".replace(".", "_"), name, file) for name, file in places
    ]
    for key, name, file in sorted(keys):
        try:
            image = read_array(_image(folder, name, file), key)
            sample = Sample(key, {"image": image, "label": label[_number(name)]})
            yield square(sample, params["shorter"], params["side"])
        except DataError as error:
            yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    _check(params)
    test_list, exemplars, folder = VARIANTS[params["variant"]]
    lists = Path(params["lists"]).expanduser()
    return {
        str(lists / f"mydatasets/data_paths/{test_list}.txt"): "list of 5,000 images",
        str(lists / f"split/examplar_{exemplars}_imagenet.json"): "list of three exemplars of each class",
        str(_root(params) / folder): "the images, a folder for each class",
    }


def _check(params: dict[str, Any]) -> None:
    if params["variant"] not in VARIANTS:
        raise ParamsError(f"variant is {params['variant']!r}; {suggest(params['variant'], VARIANTS)}")
    if params["overlap"] not in OVERLAP:
        raise ParamsError(f"overlap is {params['overlap']!r}; {suggest(params['overlap'], OVERLAP)}")
    if not params["lists"]:
        raise ParamsError("imagenet_variant: option lists is missing; give a clone of the authors' repository")


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("imagenet_variant: option root is missing; give the folder that holds the variants")
    return Path(params["root"]).expanduser()


def _test_images(params: dict[str, Any]) -> list[Place]:
    """The tested images, each line of their list being `PATH; LABEL`."""
    _check(params)
    name = VARIANTS[params["variant"]][0]
    file = Path(params["lists"]).expanduser() / f"mydatasets/data_paths/{name}.txt"
    places, folders = [], dict[int, str]()
    for number, line in enumerate(_read(file).splitlines(), 1):
        path, _, label = line.strip().rpartition("; ")
        if not (path and label.isdigit()):
            raise DataError(f"{file} line {number}: {line[:120]!r} is no `path; label`")
        places.append(_place(path))
        if folders.setdefault(int(label), places[-1][0]) != places[-1][0]:
            raise DataError(
                f"{file} line {number}: label {label} has two folders, {folders[int(label)]} and {places[-1][0]}"
            )
    order = [folders[label] for label in sorted(folders)]
    if sorted(folders) != list(range(len(folders))) or order != sorted(order):
        raise DataError(f"{file}: labels do not count the folders from 0 in their order; bring the published list")
    return places


def _exemplars(params: dict[str, Any]) -> list[Place]:
    """The exemplars, a JSON list of paths."""
    _check(params)
    file = Path(params["lists"]).expanduser() / f"split/examplar_{VARIANTS[params['variant']][1]}_imagenet.json"
    try:
        paths = json.loads(_read(file))
    except ValueError as error:
        raise DataError(f"{file} is no JSON list of paths: {error}") from None
    return [_place(str(path)) for path in paths]


def _read(file: Path) -> str:
    if not file.is_file():
        raise DataError(f"the list {file} does not exist; `lists` is a clone of tmllab/Machine_Vision_Therapy")
    return file.read_text(encoding="utf-8")


def _place(path: str) -> Place:
    *_, folder, name = PurePosixPath(path).parts
    return folder, name


def _numbers(params: dict[str, Any]) -> list[int]:
    """ImageNet's numbers of the variant's classes, ascending."""
    return sorted({_number(folder) for folder, _ in _test_images(params)})


def _number(folder: str) -> int:
    """ImageNet's number of a class's folder: a synset, or the number itself (V2).

    Raises:
        DataError: it is neither.
    """
    if folder.isdigit() and int(folder) < len(_synsets()):
        return int(folder)
    if folder not in _synsets():
        raise DataError(f"{folder!r} is no synset of ImageNet-1k and no class number below 1,000")
    return _synsets()[folder]


@cache
def _synsets() -> dict[str, int]:
    file = Path(registry.file("datasets", "imagenet")).with_name("imagenet_synsets.txt")
    names = file.read_text(encoding="ascii").split()
    return {name: at for at, name in enumerate(names)}


def _image(folder: Path, name: str, file: str) -> Path:
    """An image's file; V2 is published with folders 0 to 999, which the lists call 0000 to 0999."""
    for own in dict.fromkeys((name, str(int(name)) if name.isdigit() else name)):
        if (folder / own / file).is_file():
            return folder / own / file
    raise DataError(f"the image {folder / name / file} does not exist; unpack the variant below `root`")
