"""Shifted samples at rising severity, from the previews that the shift stage made."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref, ShardsName
from shiftbench.data import codecs, skeletons, sound_pictures, thumbnails
from shiftbench.report import diffing
from shiftbench.report.titles import spell

SIDE = 128  # px, 1.5 times the size on the page
PLAYED = 2  # samples of a board that have a player: sounds are large


@dataclass(frozen=True, slots=True)
class Mark:
    """A box over an image, in its pixels, and the name of its class."""

    x: float
    y: float
    width: float
    height: float
    name: str


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of marked pixels over an image, in its pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint over an image, in its pixels, and its name."""

    x: float
    y: float
    name: str


@dataclass(frozen=True, slots=True)
class Image:
    """One sample at one severity: a WebP in base64 with the size of the original in pixels, or a text, or neither.

    A sound has a WAV in base64 for a player; its picture is a waveform above a spectrogram.
    """

    webp: str | None = None
    width: int = 0
    height: int = 0
    text: str | None = None
    marks: tuple[Mark, ...] = ()
    areas: tuple[Area, ...] = ()
    wav: str | None = None
    joints: tuple[Joint, ...] = ()
    bones: tuple[tuple[Joint, Joint], ...] = ()
    diff: tuple[diffing.Piece, ...] = ()  # of a text that has a clean partner


@dataclass(frozen=True, slots=True)
class Strip:
    """One sample: its key, the name of its class in words, and its image at each severity."""

    key: str
    label: str
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """The samples of one dataset under one shift; `identity`: as they are."""

    dataset: str
    split: str
    shift: str
    severities: tuple[float, ...]
    strips: tuple[Strip, ...]


def boards(files: Mapping[Ref, Path]) -> list[Board]:
    """One board per (dataset, split, shift), with the clean partner first; sorted.

    Args:
        files: previews by Ref; a dataset's own samples are `identity` at severity 0.

    Raises:
        DataError: a preview is not one; names the file.
    """
    shots: dict[tuple[str, str, str], dict[float, dict[str, Any]]] = {}
    for ref, file in files.items():
        dataset, split, shift, severity = ShardsName.of(ref)
        shots.setdefault((dataset, split, shift), {})[severity] = _read(file)
    boards = []
    for dataset, split, shift in sorted(shots, key=lambda place: (*place[:2], place[2] != "identity", place[2])):
        clean = shots.get((dataset, split, "identity"), {})
        boards.append(_board(dataset, split, shift, clean | shots[dataset, split, shift]))
    return boards


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
        samples = {sample["key"]: sample for sample in content["samples"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is not a preview ({error!r}); make it again") from error
    return {"classes": content.get("classes", []), "samples": samples, "file": file}


def _board(dataset: str, split: str, shift: str, shots: dict[float, dict[str, Any]]) -> Board:
    severities = tuple(sorted(shots))
    first = shots[severities[0]]
    strips = tuple(
        Strip(
            key,
            _label(sample, first["classes"]),
            _compared(tuple(_image(shots[s], key, number) for s in severities), severities),
        )
        for number, (key, sample) in enumerate(first["samples"].items())
    )
    return Board(dataset, split, shift, severities, strips)


def _compared(images: tuple[Image, ...], severities: tuple[float, ...]) -> tuple[Image, ...]:
    """The images, each text with its differences from the clean text."""
    clean, *others = images
    if clean.text is None or severities[0] != 0:
        return images
    return (
        clean,
        *(replace(image, diff=diffing.pieces(clean.text, image.text)) if image.text else image for image in others),
    )


def _label(sample: Mapping[str, Any], classes: list[str]) -> str:
    label = sample.get("label")
    return spell(str(classes[label])) if isinstance(label, int) and 0 <= label < len(classes) else ""


def _image(shot: dict[str, Any], key: str, number: int) -> Image:
    """Image of the `number`-th sample."""
    sample = shot["samples"].get(key, {})
    if "png" in sample:
        marks = _marks(sample.get("boxes", []), shot["classes"], shot["file"], key)
        joints, bones = _joints(sample.get("poses", []), shot["classes"], shot["file"], key)
        areas = _areas(sample.get("areas", []), shot["file"], key)
        pixels = _decoded(sample["png"], "png", shot["file"], key)
        height, width = pixels.shape[:2]
        picture = thumbnails.webp(pixels, SIDE)
        return Image(picture, width, height, marks=marks, areas=areas, joints=joints, bones=bones)
    if "wav" in sample:
        sound_picture = sound_pictures.picture(_decoded(sample["wav"], "wav", shot["file"], key))
        height, width = sound_picture.shape
        wav = sample["wav"] if number < PLAYED else None
        return Image(thumbnails.webp(sound_picture, SIDE), width, height, wav=wav)
    return Image(text=sample.get("text"))


def _marks(boxes: Any, classes: list[str], file: Path, key: str) -> tuple[Mark, ...]:
    """Boxes of a sample, each x, y, w, h and the number of its class."""
    try:
        return tuple(Mark(float(x), float(y), float(w), float(h), str(classes[label])) for x, y, w, h, label in boxes)
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"{file}: the boxes of {key!r} are not x, y, w, h and a class; make the preview again"
        ) from error


def _areas(rectangles: Any, file: Path, key: str) -> tuple[Area, ...]:
    """Marked pixels of a sample, rectangles x, y, w, h."""
    try:
        return tuple(Area(float(x), float(y), float(w), float(h)) for x, y, w, h in rectangles)
    except (ValueError, TypeError) as error:
        raise DataError(f"{file}: the areas of {key!r} are not x, y, w and h; make the preview again") from error


def _joints(
    poses: Any, classes: list[str], file: Path, key: str
) -> tuple[tuple[Joint, ...], tuple[tuple[Joint, Joint], ...]]:
    """Labelled joints of the persons of a sample, each x, y and visibility, and the bones between them."""
    joints: list[Joint] = []
    bones: list[tuple[Joint, Joint]] = []
    try:
        for pose in poses:
            joints_of_pose = {
                index: Joint(float(x), float(y), classes[index]) for index, (x, y, v) in enumerate(pose) if v
            }
            joints += joints_of_pose.values()
            bones += [
                (joints_of_pose[a], joints_of_pose[b])
                for a, b in skeletons.bones(classes)
                if {a, b} <= set(joints_of_pose)
            ]
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"{file}: the poses of {key!r} are not x, y and visibility of each joint; make the preview again"
        ) from error
    return tuple(joints), tuple(bones)


def _decoded(data: Any, kind: str, file: Path, key: str) -> NDArray[Any]:
    """Image of a sample, uint8 (h, w) or (h, w, 3), or its sound, int16 (n,)."""
    noun = {"png": "the image", "wav": "the sound"}[kind]
    try:
        value: NDArray[Any] = codecs.decode(kind, base64.b64decode(data, validate=True))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{file}: {noun} of {key!r} is not base64 of a {kind.upper()}; make the preview again"
        ) from error
    except DataError as error:
        raise DataError(
            f"{file}: {noun} of {key!r} is not a {kind.upper()} ({error}); make the preview again"
        ) from error
    return value
