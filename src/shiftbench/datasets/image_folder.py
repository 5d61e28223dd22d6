"""Your own images: one folder per class, in one line of params.

    datasets:
      mine: {use: image_folder, path: /data/mine}

`path` holds the class folders, or the folders `train` and `test` (or `val` in place of `test`), each
with the class folders. In the first case a fifth becomes test, by the hash of the key. Classes are the
folders' names, sorted. Whether the images may be passed on is yours to say (`redistribute: true`);
by default they stay local.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.data import splits
from shiftbench.datasets._pictures import class_samples, list_classes
from shiftbench.errors import DataError, ParamsError
from shiftbench.sample import Sample

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own data"
CITATION = "none: the user's own data"
REDISTRIBUTE = False
PARAMS: dict[str, object] = {"path": ""}


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """Return the names of the class folders, sorted."""
    return list_classes(_folders(params)["train"])


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w) or (h, w, 3), `label`; a bad image as its error.

    Raises:
        ParamsError: no path is given.
        DataError: the path holds no class folders, or train and test hold other classes.
    """
    folders = _folders(params)
    names = list_classes(folders["train"])
    unknown = sorted(set(list_classes(folders[split])) - set(names))
    if unknown:
        raise DataError(
            f"{folders[split]} holds class {unknown[0]!r}, which {folders['train']} has not"
        )
    labels = {name: label for label, name in enumerate(names)}
    flat = folders["train"] == folders["test"]
    prefix = f"{params.get('name', 'image_folder')}/{'all' if flat else split}"
    for sample in class_samples(prefix, folders[split], labels):
        if isinstance(sample, DataError) or not flat or _in_test(sample.key) == (split == "test"):
            yield sample


def _in_test(key: str) -> bool:
    return splits.unit("test", key) < splits.TEST


def _folders(params: dict[str, Any]) -> dict[str, Path]:
    """Return the folder of each native split: the same one when they are not separate."""
    if not params["path"]:
        raise ParamsError(
            "image_folder: option path is missing; give the folder that holds the class folders"
        )
    path = Path(params["path"]).expanduser()
    apart = [
        name for name in ("test", "val") if (path / name).is_dir() and (path / "train").is_dir()
    ]
    return (
        {"train": path / "train", "test": path / apart[0]}
        if apart
        else {"train": path, "test": path}
    )
