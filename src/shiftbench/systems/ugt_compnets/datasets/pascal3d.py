"""PASCAL3D+ with occluders, as CompositionalNets prepared it: twelve classes at four levels of occlusion.

    datasets:
      pascal3d: {path: data/own/compnets}
      pascal3d_nine: {use: pascal3d, path: data/own/compnets, level: NINE}

Below `path`, in `pascal3d+_occ`, as the released code reads it: train is `TRAINING_DATA/CLASS_imagenet/NAME.JPEG` of
the names in `CLASS_imagenet_train.txt`; test of the names in `CLASS_imagenet_occ.txt` is `CLASSLEVELZERO/NAME.JPEG`,
whose names lack the last two characters of the list's (the object's number), or
`CLASSLEVEL{ONE,FIVE,NINE}TYPE/NAME.JPEG`, with `occluder` for TYPE. Classes are those that have both lists, sorted.
Pictures are squeezed to squares. No part of the released archives was at hand.

Source: Xiang, Mottaghi and Savarese, "Beyond PASCAL", WACV 2014; Wang et al., "Robust Object Detection under Occlusion
with Context-Aware CompositionalNets", CVPR 2020, arXiv:2005.11643; `getImg` in `Code/helpers.py` of toshi2k2/CompnetDA.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.ugt_compnets.datasets import _layout

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = "Xiang, Mottaghi and Savarese, Beyond PASCAL, WACV 2014; Kortylewski et al., CVPR 2020"
REDISTRIBUTE = False
OCCLUDERS = ("", "_white", "_noise", "_texture")
FOLDER = "pascal3d+_occ"
LISTS = {"train": "_imagenet_train.txt", "test": "_imagenet_occ.txt"}


class Options(declare.Options):
    path: str = Field("", description="folder with `pascal3d+_occ`")
    level: _layout.Level = "ZERO"
    occluder: Literal["", "_white", "_noise", "_texture"] = Field(
        "", description="occluder of the test images; empty: objects"
    )
    side: _layout.Side = _layout.SIDE


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The classes that have both lists, sorted.

    Raises:
        ParamsError: no path, an unknown level or occluder.
        DataError: there is no class.
    """
    if params["occluder"] not in OCCLUDERS:
        raise ParamsError(f"pascal3d: occluder is {params['occluder']!r}; {suggest(params['occluder'], OCCLUDERS)}")
    place = _layout.root(params, "pascal3d") / FOLDER
    names = [{file.name.removesuffix(end) for file in place.glob(f"*{end}")} for end in LISTS.values()]
    common = sorted(set.intersection(*names))
    if not common:
        raise DataError(f"{place} has no class with both lists, {' and '.join(LISTS.values())}")
    return tuple(common)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """The lists and folders of a split."""
    place = Path(params["path"] or "PATH") / FOLDER
    images = "TRAINING_DATA/CLASS_imagenet" if split == "train" else _images("CLASS", params)
    return {str(place): f"CLASS{LISTS[split]}, the names of images, and {images}/ with them, for each CLASS"}


def _images(name: str, params: dict[str, Any]) -> str:
    return f"{name}LEVEL{params['level']}{params['occluder']}"


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split: `image` uint8 (side, side, 3), `label`; a picture that is not there as its error."""
    names = classes(params, sources)
    place = _layout.root(params, "pascal3d") / FOLDER
    yield from _layout.samples(_entries(split, place, names, params), params["side"])


def _entries(
    split: str, place: Path, names: tuple[str, ...], params: dict[str, Any]
) -> Iterator[tuple[str, Path, int, str | None]]:
    prefix = f"{params.get('name', 'pascal3d')}/{split}"
    for label, name in enumerate(names):
        for line in (place / f"{name}{LISTS[split]}").read_text().split():
            stem = line[:-2] if split == "test" and params["level"] == "ZERO" else line
            top = f"TRAINING_DATA/{name}_imagenet" if split == "train" else _images(name, params)
            key = f"{prefix}/{name}/{line}".replace(".", "_")
            yield key, place / top / f"{stem}.JPEG", label, None
