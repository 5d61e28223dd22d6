"""OOD-CV for classification, and its occluded version: five nuisances over ten rigid classes.

    datasets:
      oodcv: {path: data/own/compnets}
      oodcv_five: {use: oodcv, path: data/own/compnets, level: FIVE}

Below `path`, as the released code of UGT reads it: `Robin/cls_train/CLASS/`, `Robin/cls_test/CLASS/NUISANCE/`, and of
occluded images `robin_occ_LEVEL/CLASS/NUISANCE/` (ONE 20 to 40 %, FIVE 40 to 60 %, NINE 60 to 80 % of the object). Test
has nuisances, train none of them. Classes are those that `cls_train` and `cls_test` both have, sorted. Rows
are grouped by nuisance. Pictures are squeezed to squares, as there for scoring. No part of the released
archives was at hand: the layout is that of `getImg` in `Code/helpers.py`.

Source: Zhao et al., "OOD-CV: A Benchmark for Robustness to Out-of-Distribution Shifts of Individual Nuisances in
Natural Images", ECCV 2022, arXiv:2111.14341.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _pictures
from shiftbench.systems.ugt_compnets.datasets import _layout

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "not found; the terms of the user's own copy"
CITATION = "Zhao et al., OOD-CV, ECCV 2022, arXiv:2111.14341"
REDISTRIBUTE = False
NUISANCES = ("context", "weather", "texture", "pose", "shape")


class Options(declare.Options):
    path: str = Field("", description="folder with `Robin` and `robin_occ_LEVEL`")
    level: _layout.Level = "ZERO"
    nuisances: list[str] = Field(list(NUISANCES), description="nuisances of the test split")
    side: _layout.Side = _layout.SIDE


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The classes that train and test have, sorted.

    Raises:
        ParamsError: no path, or an unknown level.
        DataError: a folder is not there, or no class is in both.
    """
    place = _layout.root(params, "oodcv") / "Robin"
    common = sorted({*_layout.folders(place / "cls_train")} & {*_layout.folders(place / "cls_test")})
    if not common:
        raise DataError(f"{place}: cls_train and cls_test have no class in common")
    return tuple(common)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """The folders of a split."""
    place = Path(params["path"] or "PATH")
    if split == "train":
        return {str(place / "Robin/cls_train"): "OOD-CV's training images, a folder for each class"}
    return {str(_test_folder(place, params["level"])): "test images, CLASS/NUISANCE, occluded or not"}


def _test_folder(place: Path, level: str) -> Path:
    return place / ("Robin/cls_test" if level == "ZERO" else f"robin_occ_{level}")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield train, or the nuisances' test images: `image` uint8 (side, side, 3), `label`, the nuisance in `meta`."""
    place = _layout.root(params, "oodcv")
    labels = {name: label for label, name in enumerate(classes(params, sources))}
    yield from _layout.samples(_entries(split, place, labels, params), params["side"])


def _entries(
    split: str, place: Path, labels: dict[str, int], params: dict[str, Any]
) -> Iterator[tuple[str, Path, int, str | None]]:
    train = split == "train"
    top = place / "Robin/cls_train" if train else _test_folder(place, params["level"])
    prefix = f"{params.get('name', 'oodcv')}/{split}"
    for name, label in labels.items():
        for nuisance in (None,) if train else params["nuisances"]:
            folder = top / name / (nuisance or "")
            if not folder.is_dir() and train:
                raise DataError(f"{folder} does not exist; bring it as the released code lays it out")
            for file in sorted(folder.glob("*")):
                if file.suffix.lower() in _pictures.SUFFIXES:
                    stem = file.relative_to(top).with_suffix("").as_posix().replace(".", "_")
                    yield f"{prefix}/{stem}", file, label, nuisance
