"""ImageNet-E as released: edited images of ImageNet's validation set, one attribute at a time, from your own copy.

    datasets:
      imagenet_e: {root: /data/imagenet-e}                                  # the originals, `ori/`
      imagenet_e_busier: {use: imagenet_e, root: /data/imagenet-e, edit: FOLDER, severity: 20}

`root` holds a folder per edit with `<id>.png`, `ori/` and `full/` with `<id>.JPEG`, and `labels.txt`: file name, tab,
ImageNet index. The folders' names are nowhere stated, so none is guessed: an `edit` that is not there is refused with
the list of those that are. All folders must hold the same images, and each image needs a label. A key is that of
the original in every edit, so that edits are paired with originals. `meta` has edit, severity and file type; all types
go through one decoder (Pillow). With `shorter` and `side` images are resized and cut as by `imagenet`.

Source: Li et al. 2023, "ImageNet-E: Benchmarking Neural Network Robustness via Attribute Editing", CVPR,
arXiv:2303.17096; said to be 4,352 originals of 373 classes under 11 edits. Labels are among all thousand classes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import imagenet
from shiftbench.plugins.datasets._pictures import SUFFIXES, read_array, square

TASK = "classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "of the edits not stated; ImageNet's terms of access for the originals"
CITATION = (
    "Li et al., ImageNet-E: Benchmarking Neural Network Robustness via Attribute Editing, CVPR 2023, arXiv:2303.17096"
)
REDISTRIBUTE = False
IN_ORDER = True
PART_OF = "imagenet_e"
ORIGINALS, LABELS = "ori", "labels.txt"


class Options(declare.Options):
    root: str = Field("", description="folder with a folder for each edit, and `labels.txt`")
    edit: str = Field("ori", description="folder of the edit; `ori`: the originals")
    severity: float | None = Field(None, description="strength of the edit, as `meta` states it; null: not stated")
    shorter: int = Field(0, ge=0, description="shorter side that images are resized to, in pixels; 0: as they are")
    side: int = Field(0, ge=0, description="side of the square cut from the middle, in pixels; 0: not cut")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """ImageNet's thousand class names."""
    return imagenet.classes(params, sources)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield one edit: `image` uint8 (h, w) or (h, w, 3), `label` 0 to 999, `meta`; a bad image as its error.

    Raises:
        ParamsError: no root is given.
        DataError: there is no such edit, folders hold other images than the originals, or one has no label.
    """
    root = _root(params)
    edits, labels = folders(root), read_labels(root / LABELS)
    if params["edit"] not in edits:
        raise DataError(
            f"{root} holds no edit {params['edit']!r} ({suggest(str(params['edit']), edits)}); "
            f"it has {', '.join(edits)}"
        )
    for name, pictures in edits.items():
        _check(root / name, set(pictures), set(edits.get(ORIGINALS, pictures)), labels)
    for number, file in sorted(edits[params["edit"]].items()):
        yield square(_sample(number, file, labels, params), params["shorter"], params["side"])


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    root = _root(params)
    return {str(root / params["edit"]): "edited images", str(root / LABELS): "their labels"}


def folders(root: Path) -> dict[str, dict[str, Path]]:
    """The images of each folder by id (the file's name without its type); hidden folders do not count.

    Raises:
        DataError: there is no such folder, or it holds no folder of images.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; set root to where ImageNet-E was unpacked")
    edits = {
        folder.name: {file.stem: file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES}
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    edits = {name: pictures for name, pictures in edits.items() if pictures}
    if not edits:
        raise DataError(f"{root} holds no folder of images; set root to where ImageNet-E is")
    return edits


def read_labels(file: Path) -> dict[str, int]:
    """The label of each id.

    Raises:
        DataError: there is no such file, or a line is no file name, tab and index of 0 to 999.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; ImageNet-E's labels are in it")
    labels = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        name, _, index = line.strip().rpartition("\t")
        if not line.strip():
            continue
        if not name or not index.isdigit() or int(index) > 999:
            raise DataError(f"{file} line {number}: {line[:80]!r} is no file name, tab, and index of 0 to 999")
        labels[Path(name).stem] = int(index)
    return labels


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("imagenet_e: option root is missing; give the folder that holds ori/ and the edits")
    return Path(params["root"]).expanduser()


def _check(folder: Path, own: set[str], originals: set[str], labels: dict[str, int]) -> None:
    if own != originals:
        other = sorted(own ^ originals)
        raise DataError(
            f"{folder} holds {len(own)} images, {folder.with_name(ORIGINALS)} {len(originals)}; {len(other)} are in "
            f"one of them only, first {other[0]}"
        )
    bare = sorted(own - labels.keys())
    if bare:
        raise DataError(f"{folder.with_name(LABELS)} has no label for {bare[0]} of {folder}")


def _sample(number: str, file: Path, labels: dict[str, int], params: dict[str, Any]) -> Sample | DataError:
    key = f"{PART_OF}/test/{number.replace('.', '_')}"
    try:
        image = read_array(file, key)
    except DataError as error:
        return error
    severity = "" if params["severity"] is None else f"{params['severity']:g}"
    meta = {"edit": file.parent.name, "severity": severity, "type": file.suffix[1:].lower()}
    return Sample(key, {"image": image, "label": labels[number], "meta": meta})
