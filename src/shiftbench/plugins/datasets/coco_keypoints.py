"""Your own images with persons' joints in COCO's layout: a folder of images, and a JSON file of persons.

    datasets:
      coco: {use: coco_keypoints, root: /data/coco}            # train2017, val2017, annotations/person_keypoints_*
      monet: {use: coco_keypoints, root: /data/coco, images: {test: val2017oil}}     # the same joints, other pictures
      humanart: {use: coco_keypoints, root: /data, annotations: {test: HumanArt/annotations/validation_humanart.json},
                 images: {test: .}}

The joints are those of the category `person`, in its order, which are the dataset's classes. Style transfer may return
a picture of another size than its entry, for which `resize` is. What is wrong with one image is its error alone
(`on_error: skip`); what is wrong with the file stops.

Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", arXiv:1405.0312; the format at
https://cocodataset.org; HumanArt's files have it too (Ju et al. 2023, arXiv:2303.02760).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data.poses import Pose
from shiftbench.data.resizing import resize_array
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _options, coco_json
from shiftbench.plugins.datasets._pictures import read_array
from shiftbench.plugins.models._images import to_colour

TITLE = "Persons with COCO keypoints"
TASK = "keypoints"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own data"
CITATION = coco_json.CITATION
REDISTRIBUTE = False
IN_ORDER = True
PERSONS = ("all", "labelled")
Entry = dict[str, Any]


class Options(declare.Options):
    root: str = Field("", description="folder that `annotations` and `images` are relative to")
    annotations: coco_json.Places = Field(
        {"train": "annotations/person_keypoints_train2017.json", "test": "annotations/person_keypoints_val2017.json"},
        description="JSON file of each split",
    )
    images: coco_json.Places = Field(
        {"train": "train2017", "test": "val2017"}, description="folder of images of each split"
    )
    persons: Literal["all", "labelled"] = Field(
        "all", description="all images, or those on which a person has a labelled joint"
    )
    resize: bool = Field(
        False, description="resize a picture to the size in the JSON file; false: another size is an error"
    )
    limit: _options.Limit = 0
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the joints."""
    file = _file(params, "annotations", "test")
    return _person(coco_json.read(file), file)[1]


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w, 3) and `poses`; a bad image as its error."""
    if params["persons"] not in PERSONS:
        raise ParamsError(f"coco_keypoints: persons is {params['persons']!r} ({suggest(params['persons'], PERSONS)})")
    file, folder = _file(params, "annotations", split), _file(params, "images", split)
    content = coco_json.read(file)
    images, poses = _images(content, file), _poses(content, file)
    if params["persons"] == "labelled":
        images = {n: e for n, e in images.items() if any(map(_labelled, poses[e["id"]]))}
    name = params.get("name", "coco_keypoints")
    for number in sorted(images)[: params["limit"] or None]:
        entry = images[number]
        yield _sample(f"{name}/{split}/{number}", entry, poses[entry["id"]], folder, params)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides: path -> description."""
    return {
        str(_file(params, "annotations", split)): "COCO JSON of persons' keypoints",
        str(_file(params, "images", split)): "its images",
    }


def _file(params: dict[str, Any], option: str, split: str) -> Path:
    if not params["root"]:
        raise ParamsError("coco_keypoints: option root is missing; give the folder that holds images and annotations")
    places = params[option]
    if split not in places:
        raise ParamsError(f"coco_keypoints: {option} says nothing of the split {split!r} ({suggest(split, places)})")
    return Path(params["root"]).expanduser() / str(places[split])


def _person(content: dict[str, list[Entry]], file: Path) -> tuple[Any, tuple[str, ...]]:
    """The number of the category that has keypoints, and their names."""
    categories = [one for one in content["categories"] if one.get("keypoints")]
    if len(categories) != 1:
        raise DataError(
            f"{file}: {len(categories)} categories list keypoints; expected one, `person`, "
            "as COCO's person_keypoints_*.json"
        )
    return categories[0]["id"], tuple(str(name) for name in categories[0]["keypoints"])


def _images(content: dict[str, list[Entry]], file: Path) -> dict[str, Entry]:
    images: dict[str, Entry] = {}
    for entry in content["images"]:
        if "id" not in entry or "file_name" not in entry:
            raise DataError(f"{file}: an image needs an id and a file_name; one has {sorted(entry)}")
        number = coco_json.number_of(entry["id"])
        if number in images:
            raise DataError(f"{file}: two images have the id {entry['id']!r}")
        images[number] = entry
    return images


def _poses(content: dict[str, list[Entry]], file: Path) -> dict[Any, list[Pose]]:
    """The persons of each image, by its number, in the order of the file."""
    person, names = _person(content, file)
    poses: dict[Any, list[Pose]] = {entry.get("id"): [] for entry in content["images"]}
    for note in content["annotations"]:
        what = f"{file}: annotation {note.get('id')}"
        if note.get("category_id") != person:
            continue
        if note.get("image_id") not in poses:
            raise DataError(f"{what} is of image {note.get('image_id')!r}, which is not there")
        flat, box = note.get("keypoints"), note.get("bbox")
        if not isinstance(flat, list) or len(flat) != 3 * len(names):
            count = len(flat) if isinstance(flat, list) else "no"
            raise DataError(
                f"{what} has {count} numbers of keypoints; expected {3 * len(names)}: x, y and visibility of each of "
                f"{len(names)}"
            )
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(f"{what} has the bbox {box!r}; expected [x, y, width, height]")
        triples = [flat[at : at + 3] for at in range(0, len(flat), 3)]
        pose: Pose = {"box": [float(value) for value in box], "joints": [_joint(t) for t in triples]}
        if "area" in note:
            pose["area"] = float(note["area"])
        if note.get("iscrowd"):
            pose["crowd"] = True
        poses[note["image_id"]].append(pose)
    return poses


def _joint(triple: list[float]) -> list[float]:
    x, y, visibility = triple
    return [float(x), float(y), visibility] if visibility else [0.0, 0.0, 0]


def _labelled(pose: Pose) -> bool:
    return any(joint[2] for joint in pose["joints"])


def _sample(key: str, entry: Entry, poses: list[Pose], folder: Path, params: dict[str, Any]) -> Sample | DataError:
    try:
        image = to_colour(read_array(folder / entry["file_name"], key))
    except DataError as error:
        return error
    height, width = image.shape[:2]
    stated: tuple[Any, Any] = (entry.get("width", width), entry.get("height", height))
    if stated != (width, height) and params["resize"]:
        image = resize_array(image, int(stated[0]), int(stated[1]))
    elif stated != (width, height):
        return DataError(
            f"{key}: the image {entry['file_name']} has {width} x {height} pixels, its entry {stated[0]} x "
            f"{stated[1]}; joints would lie elsewhere; `resize: true` brings it to its entry's size"
        )
    return Sample(key, {"image": image, "poses": poses})
