"""Your own images with boxes in COCO's layout: folders of images, and a JSON file of images and annotations.

    datasets:
      coco: {use: coco_json, root: /data/coco}                          # train2017, val2017, annotations/
      cartoon: {use: coco_json, root: /data/ood_coco/cartoon}           # a domain of COCO-O: val2017, annotations/
      pooled: {use: coco_json, root: /data/ood_coco, domains: [weather, sketch], annotations: ..., images: ...}

A key contains the split, the domain and the number of the image, since numbers repeat from domain to domain. All
domains must have the same categories, which become the classes in the order of their numbers. With `names`, boxes of
other categories are left out.

Images are read as colour, without their EXIF rotation, which boxes do not know of; an image of another size than
its entry is refused, and so are boxes outside of it. What is wrong with one image is its error alone (`on_error:
skip`); what is wrong with the file stops. Crowds keep their mark: they count neither for nor against a detector.

Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", arXiv:1405.0312; the format at
https://cocodataset.org.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data.boxes import Box
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _options
from shiftbench.plugins.datasets._pictures import read_array
from shiftbench.plugins.models._images import to_colour

TITLE = "Images with COCO boxes"
TASK = "detection"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own data"
CITATION = "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, arXiv:1405.0312"
REDISTRIBUTE = False
IN_ORDER = True
Entry = dict[str, Any]
Places = dict[Literal["train", "test"], str]


class Options(declare.Options):
    root: str = Field("", description="folder that `annotations` and `images` are relative to")
    annotations: Places = Field(
        {"train": "annotations/instances_train2017.json", "test": "annotations/instances_val2017.json"},
        description="JSON file of each split; `{domain}` is replaced by each domain",
    )
    images: Places = Field(
        {"train": "train2017", "test": "val2017"},
        description="folder of images of each split; `{domain}` is replaced by each domain",
    )
    domains: list[str] = Field([], description="values of `{domain}`, the groups of the samples; []: no domains")
    names: list[str] = Field([], description="categories that count, in the order of the labels; []: all")
    limit: _options.Limit = 0
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the categories in the order of their numbers, or those of `names`."""
    names = list(_categories(params, "test").values())
    for name in params["names"]:
        if name not in names:
            raise ParamsError(f"coco_json: names: no category {name!r} ({suggest(name, names)})")
    return tuple(params["names"] or names)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w, 3), `boxes`, `meta` with the domain; a bad image as its error."""
    names = {name: label for label, name in enumerate(classes(params, sources))}
    _categories(params, split)  # the same in all domains
    for domain in _domains(params):
        file = _file(params, "annotations", split, domain)
        folder, content = _file(params, "images", split, domain), read(file)
        labels = {entry["id"]: names.get(str(entry["name"])) for entry in content["categories"]}
        images, boxes = _images(content, file), _boxes(content, labels, file)
        prefix = "/".join(filter(None, (params.get("name", "coco_json"), split, domain)))
        for entry in images[: params["limit"] or None]:
            yield _sample(f"{prefix}/{number_of(entry['id'])}", entry, boxes[entry["id"]], domain, folder)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides: path -> description."""
    files = {}
    for domain in _domains(params):
        files[str(_file(params, "annotations", split, domain))] = "COCO JSON of images and boxes"
        files[str(_file(params, "images", split, domain))] = "its images"
    return files


def _domains(params: dict[str, Any]) -> list[str]:
    domains = list(params["domains"])
    if len(set(domains)) < len(domains):
        twice = next(name for name in domains if domains.count(name) > 1)
        raise ParamsError(f"coco_json: domains names {twice!r} twice; its images would have the same keys")
    return sorted(domains) or [""]


def _file(params: dict[str, Any], option: str, split: str, domain: str) -> Path:
    if not params["root"]:
        raise ParamsError("coco_json: option root is missing; give the folder that holds images and annotations")
    places = params[option]
    if split not in places:
        raise ParamsError(f"coco_json: {option} says nothing of the split {split!r} ({suggest(split, places)})")
    if domain and "{domain}" not in places[split]:
        raise ParamsError(
            f"coco_json: {option} of {split!r} is {places[split]!r}, the same for all domains; put {{domain}} in it"
        )
    return Path(params["root"]).expanduser() / str(places[split]).replace("{domain}", domain)


def read(file: Path) -> dict[str, list[Entry]]:
    """The content of a JSON file of COCO's layout."""
    if not file.is_file():
        raise DataError(f"{file} is missing; set root, and annotations where the file has another name")
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    for part in ("images", "categories", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise DataError(f"{file} has no list of {part}; a COCO file has images, categories and annotations")
    if not content["categories"]:
        raise DataError(f"{file} has no categories, so that its boxes have no names")
    return dict(content)


def _categories(params: dict[str, Any], split: str) -> dict[int, str]:
    """The categories, number -> name, in the order of their numbers."""
    categories: dict[int, str] = {}
    first = None
    for domain in _domains(params):
        file = _file(params, "annotations", split, domain)
        own = _named(read(file)["categories"], file)
        if first is not None and own != categories:
            number = min(n for n in own.keys() | categories.keys() if own.get(n) != categories.get(n))
            raise DataError(
                f"category {number} is {categories.get(number)!r} in {first} and {own.get(number)!r} in {file}; all "
                "domains need the same categories"
            )
        categories, first = own, first or file
    return categories


def _named(categories: list[Entry], file: Path) -> dict[int, str]:
    try:
        pairs = sorted((int(entry["id"]), str(entry["name"])) for entry in categories)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: a category needs an id and a name ({error!r})") from error
    for at in (0, 1):
        values = [pair[at] for pair in pairs]
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise DataError(f"{file}: two categories have the {('id', 'name')[at]} {twice!r}")
    return dict(pairs)


def _images(content: dict[str, list[Entry]], file: Path) -> list[Entry]:
    """The images in the order of their keys."""
    images: dict[str, Entry] = {}
    for entry in content["images"]:
        if "id" not in entry or "file_name" not in entry:
            raise DataError(f"{file}: an image needs an id and a file_name; one has {sorted(entry)}")
        number = number_of(entry["id"])
        if number in images:
            raise DataError(
                f"{file}: two images have the id {entry['id']!r}: {images[number]['file_name']}, {entry['file_name']}"
            )
        images[number] = entry
    return [images[number] for number in sorted(images)]


def number_of(identity: Any) -> str:
    """The part of a key that an image's number makes: numbers with twelve digits, as COCO's files have."""
    text = f"{identity:012d}" if isinstance(identity, int) else str(identity)
    return text.replace(".", "_")


def _boxes(content: dict[str, list[Entry]], labels: dict[int, int | None], file: Path) -> dict[Any, list[Box]]:
    """The boxes of each image, by its number, in the order of the file."""
    boxes: dict[Any, list[Box]] = {entry.get("id"): [] for entry in content["images"]}
    for note in content["annotations"]:
        what = f"{file}: annotation {note.get('id')}"
        if note.get("image_id") not in boxes:
            raise DataError(f"{what} is of image {note.get('image_id')!r}, which is not there")
        if note.get("category_id") not in labels:
            raise DataError(f"{what} is of category {note.get('category_id')!r}, which is not there")
        place = note.get("bbox")
        if not isinstance(place, list) or len(place) != 4:
            raise DataError(f"{what} has the bbox {place!r}; expected [x, y, width, height]")
        label = labels[note["category_id"]]
        if label is None:
            continue
        box: Box = {"box": [float(value) for value in place], "label": label}
        box["area"] = float(note.get("area", place[2] * place[3]))
        if note.get("iscrowd"):
            box["crowd"] = True
        boxes[note["image_id"]].append(box)
    return boxes


def _sample(key: str, entry: Entry, boxes: list[Box], domain: str, folder: Path) -> Sample | DataError:
    try:
        image = to_colour(read_array(folder / entry["file_name"], key))
    except DataError as error:
        return error
    height, width = image.shape[:2]
    stated = entry.get("width", width), entry.get("height", height)
    if stated != (width, height):
        turned = "; its EXIF rotation was applied there, or not here" if stated == (height, width) else ""
        return DataError(
            f"{key}: the image {entry['file_name']} has {width} x {height} pixels, its entry {stated[0]} x "
            f"{stated[1]}{turned}"
        )
    fields: dict[str, Any] = {"image": image, "boxes": boxes}
    return Sample(key, fields | ({"meta": {"group": domain}} if domain else {}))
