"""Tiny-ImageNet: 200 synsets of ImageNet in 64 px, and Tiny-ImageNet-R, renditions of 62 of them, from your own copies.

    datasets:
      tiny_imagenet: {root: /data/tiny-imagenet-200}
      tiny_imagenet_r: {use: tiny_imagenet, root: /data/tiny-imagenet-r, renditions: true}

`root` is the unpacked tiny-imagenet-200: `wnids.txt`, `train/WNID/images/*.JPEG`, and `val/images/*.JPEG` with
`val/val_annotations.txt` (or `val/WNID/**`, as some copies have it), which is the test split. Renditions (Zenodo
6653675) are all of them test.

Classes are WordNet ids, sorted, as folders are, so that shared ones meet by name. `wnids.txt` is in another order:
labels that are mapped by its lines are wrong. Predictions for renditions are restricted to their 62 classes.

Source: Le and Yang 2015, Tiny ImageNet (Stanford CS231n); Hendrycks et al. 2021, arXiv:2006.16241, cut down by Weiss et
al. 2022 (NAC); the 62 are those of `process_imnet_r.py` in kamanphoebe/m2mKD. The images may not be passed on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, skippable
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import class_samples, list_classes, read_array

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "ImageNet's terms of access: non-commercial research and education"
CITATION = "Le and Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS231n, 2015"
REDISTRIBUTE = False
CLASSES = 200
RENDITIONS = 62


class Options(declare.Options):
    root: str = Field("", description="the unpacked tiny-imagenet-200, or the folder of renditions")
    renditions: bool = Field(False, description="whether it is Tiny-ImageNet-R, with a folder for each of 62 synsets")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The WordNet ids, sorted.

    Raises:
        ParamsError: no root is given.
        DataError: there are not as many as the set has.
    """
    root = _root(params)
    if params["renditions"]:
        synsets, expected = list_classes(root), RENDITIONS
    else:
        synsets, expected = tuple(sorted(_lines(root / "wnids.txt"))), CLASSES
    if len(synsets) != expected:
        raise DataError(f"{root} has {len(synsets)} synsets; expected {expected}")
    return synsets


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (64, 64) or (64, 64, 3), `label`.

    Raises:
        DataError: a folder, an annotation or a picture is missing.
    """
    root, name = _root(params), params.get("name", "tiny_imagenet")
    labels = {synset: at for at, synset in enumerate(classes(params, sources))}
    if params["renditions"]:
        yield from class_samples(f"{name}/test", root, labels) if split == "test" else ()
    elif split == "train":
        yield from class_samples(f"{name}/train", root / "train", labels)
    elif (root / "val" / "val_annotations.txt").is_file():
        yield from _val_samples(f"{name}/test", root / "val", labels)
    else:
        yield from class_samples(f"{name}/test", root / "val", labels)


def _val_samples(prefix: str, folder: Path, labels: dict[str, int]) -> Iterator[Sample | DataError]:
    for line in sorted(_lines(folder / "val_annotations.txt")):
        file, synset, *_ = line.split("\t")
        if synset not in labels:
            raise DataError(f"{folder / 'val_annotations.txt'}: {synset} is no line of wnids.txt")
        key = f"{prefix}/{Path(file).stem}"
        try:
            image = read_array(folder / "images" / file, key)
            yield Sample(key, {"image": image, "label": labels[synset]})
        except DataError as error:
            yield skippable(error)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    root = Path(params["root"]).expanduser()
    if params["renditions"]:
        return {str(root): "renditions in a folder per synset"}
    folder = root / ("train" if split == "train" else "val")
    return {str(root / "wnids.txt"): "the 200 synsets", str(folder): "images of Tiny-ImageNet"}


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise DataError(f"{file} is missing; give the unpacked folder tiny-imagenet-200")
    return [line for line in file.read_text(encoding="ascii").splitlines() if line]


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("tiny_imagenet: option root is missing; give the unpacked folder")
    return Path(params["root"]).expanduser()
