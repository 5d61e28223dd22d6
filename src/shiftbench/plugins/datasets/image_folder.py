"""Your own images: one folder per class, in one line of params.

    datasets:
      mine: {use: image_folder, path: /data/mine}

`path` holds the class folders, or the folders `train` and `test` (or `val` in place of `test`), each
with the class folders. In the first case a share becomes test, `test_share`, by the hash of the key. Classes are the
folders' names, sorted. Pictures are turned as their EXIF says. What is hidden (`.DS_Store`, `._1.jpg`),
`__MACOSX`, folders without a picture and files that are no pictures by their names are ignored, and
`shiftbench plan` tells what it was. Whether the images may be passed on is yours to say
(`redistribute: true`); by default they stay local.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import SUFFIXES, class_samples, list_classes, open_picture, read_upright

TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own data"
CITATION = "none: the user's own data"
REDISTRIBUTE = False
_TIFF = (".tif", ".tiff")


class Options(declare.Options):
    path: str = Field("", description="folder of the class folders, or of `train` and `test` with them")
    test_share: float = Field(
        splits.TEST,
        gt=0,
        le=1,
        description="share of the images that become test, if `path` has the class folders; 1: for a model that is "
        "trained already",
    )


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the class folders, sorted."""
    return _classes(_folders(params))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w) or (h, w, 3), `label`; a bad image as its error."""
    folders = _folders(params)
    names = _classes(folders)
    unknown = sorted(_with_pictures(folders[split]) - set(names))
    if unknown:
        raise DataError(f"{folders[split]} holds class {unknown[0]!r}, which {folders['train']} has not")
    labels = {name: label for label, name in enumerate(names)}
    flat = folders["train"] == folders["test"]
    prefix = f"{params.get('name', 'image_folder')}/{'all' if flat else split}"

    def counts(path: Path) -> bool:
        if not _is_sample(path, folders[split]):
            return False
        in_test = splits.unit("test", _key_of(prefix, path, folders[split])) < params["test_share"]
        return not flat or in_test == (split == "test")

    yield from class_samples(prefix, folders[split], labels, counts, _read)


def _read(path: Path, key: str) -> np.ndarray[Any, Any]:
    """A picture upright."""
    if description := files.describe_type(path):
        raise DataError(f"{key}: the image ({path}) cannot be read: {description}")
    if path.suffix.lower() in _TIFF and open_picture(path, key).mode in ("F", "I"):
        raise DataError(
            f"{key}: the image ({path}) has values of 32 bits, and nothing says which is white; save it with 8 or 16"
        )
    return read_upright(path, key)


def ignored(params: dict[str, Any]) -> str:
    """In words what below `path` is no sample, or nothing."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    folders = _folders(params)
    classes = set(_classes(folders))
    for folder in dict.fromkeys(folders.values()):
        for path in sorted(folder.rglob("*")):
            why = _why_ignored(path, folder, classes)
            if why:
                counts[why] += 1
                examples.setdefault(why, str(path.relative_to(folder)))
    return ", ".join(f"{count} {why} ({examples[why]})" for why, count in counts.items())


def _why_ignored(path: Path, folder: Path, classes: set[str]) -> str:
    """Reason why a file or folder is no sample; empty for samples and for content of an ignored folder."""
    if not _visible(path.relative_to(folder).parent):
        return ""
    if not _visible(Path(path.name)):
        return "hidden or __MACOSX"
    if path.is_dir():
        return "without a picture" if path.parent == folder and path.name not in classes else ""
    if path.suffix.lower() not in SUFFIXES:
        return "no picture by its name"
    if path.parent == folder:
        return "in no class folder"
    return "" if path.is_file() else "a link to nothing"


def _visible(path: Path) -> bool:
    return not any(part[0] == "." or part == "__MACOSX" for part in path.parts)


def _is_sample(path: Path, folder: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and _visible(path.relative_to(folder))


def _with_pictures(folder: Path) -> set[str]:
    """The names of the folders that hold a picture."""
    return {
        name for name in list_classes(folder) if any(_is_sample(path, folder) for path in (folder / name).rglob("*"))
    }


def _classes(folders: dict[str, Path]) -> tuple[str, ...]:
    """The names of the class folders, sorted: those of `train`, without those that hold no picture anywhere."""
    full = set().union(*map(_with_pictures, set(folders.values())))
    names = tuple(name for name in list_classes(folders["train"]) if name in full)
    if not names:
        raise DataError(
            f"no folder in {folders['train']} holds a picture ({', '.join(sorted(SUFFIXES))}); expected one folder of "
            "images per class"
        )
    return names


def _key_of(prefix: str, path: Path, folder: Path) -> str:
    """The key of a picture, as `class_samples` makes it."""
    stem = path.relative_to(folder).with_suffix("").as_posix().replace(".", "_")
    return f"{prefix}/{stem}"


def _folders(params: dict[str, Any]) -> dict[str, Path]:
    """The folder of each native split: the same one when they are not separate."""
    if not params["path"]:
        raise ParamsError("image_folder: option path is missing; give the folder that holds the class folders")
    path = Path(params["path"]).expanduser()
    apart = [name for name in ("test", "val") if (path / name).is_dir() and (path / "train").is_dir()]
    return {"train": path / "train", "test": path / apart[0]} if apart else {"train": path, "test": path}
