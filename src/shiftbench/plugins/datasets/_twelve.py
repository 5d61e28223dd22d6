"""Our own DomainNet: one label space of twelve classes in five looks, from what packages ship.

| look                  | images                                                                  |
| --------------------- | ------------------------------------------------------------------------- |
| twelve_photo          | Tux Paint's stamps: cut-out photos, and drawings where there is no photo   |
| twelve_clipart        | Open Clip Art                                                             |
| twelve_emoji_google   | emoji as Google draws them (64 pixels, enlarged)                          |
| twelve_emoji_twitter  | the same emoji as Twitter draws them (64 pixels, enlarged)                |
| twelve_emoji_fluent   | the same emoji in Microsoft's 3D look                                     |

`twelve.csv` lists the images that were looked at (domain, class, object, split, path, kind, note), chosen
by eye: class `-` is left out, for the reason in `note`; a note beside a class is a doubt. Classes are meant
strictly: an insect is no spider, a plant no mushroom, a building can be entered, clothing is worn, a
tool is a hand tool for work; a sea animal lives in water (seals and whales too, fresh water too).

`object` is what is shown ("cat"), named alike in all looks, and has one split: what one look trains on
is a test object in none. Objects were dealt out so that about 60, 10 and 30 percent of each class in each
look are train, val and test. A few drawings are both stamps and clip-art.

Domain `emoji_flat` are emoji of which Fluent has none.

Every image is cropped to what is not transparent, fitted into 120 x 120 (Pillow, bicubic), centred in
128 x 128 and composited on white; `mask` is its alpha, so that the background can be replaced. Few buildings and
garments are photos.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import resize
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import on_white, open_picture

TASK = "classification"
CLASSES = (
    "mammal",
    "bird",
    "insect",
    "sea_animal",
    "fruit",
    "vegetable",
    "plant",
    "vehicle",
    "building",
    "clothing",
    "instrument",
    "tool",
)
NATIVE = ("train", "val", "test")
REDISTRIBUTE = True
ASSETS = ("twelve.csv",)
KINDS = ("all", "photo", "drawing")
SIDE = 128
INNER = 120
VISIBLE = 8  # alpha below is dust around cut-outs; it does not count when cropping


class Options(declare.Options):
    look: Literal["", "photo", "clipart", "emoji_google", "emoji_twitter", "emoji_fluent"] = Field(
        "", description="kind of images that show the twelve classes"
    )
    kind: Literal["all", "photo", "drawing"] = Field("all", description="all images, photos only, or drawings only")


@dataclass(frozen=True, slots=True)
class Look:
    """Where the images of one look come from; `folder` is below the original."""

    source: str
    folder: str
    licence: str
    citation: str


_EMOJI = "packaged as emoji-datasource 16.0.0 by C. Henderson"
LOOKS = {
    "photo": Look(
        "tuxpaint_stamps",
        ".",
        "GPL-2 (as the package states for all files)",
        "The Tux Paint stamps collection, release 2025.03.31, B. Kendrick and contributors",
    ),
    "clipart": Look(
        "openclipart",
        ".",
        "public domain dedication",
        "The Open Clip Art Library, release 0.18, J. Phillips, B. Harrington and contributors",
    ),
    "emoji_google": Look("emoji_google", "img/google/64", "Apache-2.0", f"Noto Emoji, Google; {_EMOJI}"),
    "emoji_twitter": Look(
        "emoji_twitter", "img/twitter/64", "CC BY 4.0", f"Twemoji, Twitter and contributors; {_EMOJI}"
    ),
    "emoji_fluent": Look(
        "fluent_emoji", "assets", "MIT", "Fluent Emoji, Microsoft; packaged as fluent-emoji-3d 1.1.0 by LobeHub"
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of twelve.csv."""

    label: int
    object: str
    split: str
    path: str
    kind: str


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The source of a look, and its terms."""
    look = LOOKS[str(options["look"])]
    return {"SOURCES": (look.source,), "LICENCE": look.licence, "CITATION": look.citation}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (128, 128, 3), `mask` uint8 (128, 128), `label`, `meta`."""
    name, look, kind = f"twelve_{params['look']}", LOOKS[params["look"]], params["kind"]
    if kind not in KINDS:
        raise ParamsError(f"{name}: kind is {kind!r}; allowed: {', '.join(KINDS)}")
    folder = sources[look.source] / look.folder
    if params["look"].startswith("emoji"):
        drawings = emoji(name, split, folder)
    else:
        drawings = [(row, folder / row.path) for row in rows(split, params["look"])]
    yield from pictures(name, [(row, file) for row, file in drawings if kind in ("all", row.kind)])


def rows(split: str, *domains: str) -> list[Row]:
    """The lines of one split and some domains (photo, clipart, emoji, emoji_flat)."""
    with Path(__file__).with_name(ASSETS[0]).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return [
        Row(CLASSES.index(line["class"]), line["object"], split, line["path"], line["kind"])
        for line in lines
        if line["domain"] in domains and line["split"] == split
    ]


def pictures(name: str, drawings: list[tuple[Row, Path]]) -> Iterator[Sample | DataError]:
    """Yield the images of one look.

    `image` is uint8 (128, 128, 3), `mask` uint8 (128, 128), `label` 0 to 11, `meta` the object and
    whether it is a photo or a drawing. An image that cannot be read is yielded as its error.
    """
    for row, file in drawings:
        key = f"{name}/{row.split}/{row.path.removesuffix('.png').replace('.', '_')}"
        try:
            canvas = _on_canvas(open_picture(file, key).convert("RGBA"))
        except DataError as error:
            yield error
            continue
        fields = {"image": np.array(on_white(canvas).convert("RGB")), "label": row.label}
        meta = {"object": row.object, "kind": row.kind}
        yield Sample(key, {**fields, "mask": np.array(canvas.getchannel("A")), "meta": meta})


def emoji(name: str, split: str, folder: Path) -> list[tuple[Row, Path]]:
    """One drawing of the emoji; files are named by their code points, with or without fe0f.

    Args:
        name: of the dataset.
        split: train, val or test.
        folder: that holds the images.

    Raises:
        DataError: a listed one is not there.
    """
    files = {path.stem.replace("-fe0f", ""): path for path in sorted(folder.iterdir())}
    flat = () if name == "twelve_emoji_fluent" else ("emoji_flat",)
    emojis = rows(split, "emoji", *flat)
    absent = [row.path for row in emojis if row.path not in files]
    if absent:
        raise DataError(f"{name}: {folder} holds no image of {absent[0]}; fetch the source again")
    return [(row, files[row.path]) for row in emojis]


def group(sample: Sample) -> str:
    """The object, which stays in one split, in all looks."""
    return str(sample.fields["meta"]["object"])


def _on_canvas(picture: Image.Image) -> Image.Image:
    """The image cropped, fitted and centred: RGBA, SIDE x SIDE."""
    visible = picture.getchannel("A").point([0] * VISIBLE + [255] * (256 - VISIBLE))
    picture = picture.crop(visible.getbbox() or (0, 0, *picture.size))
    longest = max(picture.size)
    width, height = (max(1, (side * INNER + longest // 2) // longest) for side in picture.size)
    small = resize(picture, width, height, Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    canvas.paste(small, ((SIDE - width) // 2, (SIDE - height) // 2))
    return canvas
