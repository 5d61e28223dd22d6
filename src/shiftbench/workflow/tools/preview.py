"""`shiftbench preview`: one shift at rising severity, on your image or sound, a data set, or a built-in sample.

Sounds are drawn as waveform above spectrogram.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref, number
from shiftbench.base.sample import Sample
from shiftbench.data import audio, shards, sound_pictures
from shiftbench.data.source_files import original_folder
from shiftbench.evaluation.corruption import corrupt
from shiftbench.plugins.datasets._pictures import read_upright

Pixels = NDArray[np.uint8]
SIDE = 160  # an image's longer side on the sheet, pixels
HEADER, GAP = 18, 4
JOINT = "#e6007e"
PER_LINE = 3  # shifts on a line of the overview
TEXT = "The battery lasts for days, and the screen is bright enough to read outside."


def severities(module: ModuleType) -> list[float]:
    """Severity 0 and the levels of a shift; without levels, five steps through its range."""
    last = getattr(module, "RANGE", (0.0, 0.0))[1]
    levels = getattr(module, "LEVELS", None) or [last * step / 5 for step in range(1, 6)]
    return sorted({0.0, *map(float, levels)})


def own_image(file: Path) -> Sample:
    """Read an image as the dataset `image_folder` does: RGB or grey, upright, without colour profile.

    Raises:
        DataError: no such file, a damaged image, another format than its suffix, or too many pixels.
    """
    key = f"own/{file.stem.replace('.', '_')}"
    return Sample(key, {"image": read_upright(file, key)})


def own_sound(file: Path) -> Sample:
    """Read a WAV of any rate, width and number of channels.

    Raises:
        DataError: no such file, or no WAV.
    """
    return Sample(f"own/{file.stem.replace('.', '_')}", {"audio": audio.read(file)})


def built_in_sound() -> Sample:
    """Two seconds similar to a voice: tones of a falling pitch, loud and soft four times a second."""
    time = np.arange(2 * audio.RATE) / audio.RATE
    phase = 2 * np.pi * (160 * time - 15 * np.square(time))
    tones = np.sum([np.sin(k * phase) / k for k in range(1, 25)], axis=0)
    tones = tones * np.square(np.sin(4 * np.pi * time))
    return Sample("ours/tones", {"audio": audio.rounded(7000 * tones)})


def built_in_image() -> Sample:
    """The image of a flower in scikit-learn (BSD; by dany13), 320 px wide, with its mask."""
    from sklearn.datasets import load_sample_image

    image = np.asarray(Image.fromarray(load_sample_image("flower.jpg")).resize((320, 213)))
    orange = image[..., 0] > image[..., 2].astype(int) + 40
    orange[180:] = False  # another flower
    return Sample("scikit-learn/flower", {"image": image, "mask": orange.astype(np.uint8) * 255, "label": 0})


def built_in_square(side: int = 112) -> Sample:
    """The middle of the built-in image, `side` pixels wide and high, with its mask."""
    photo = built_in_image()
    fields = {
        name: np.asarray(Image.fromarray(photo.fields[name][:, 46:259]).resize((side, side)))
        for name in ("image", "mask")
    }
    return Sample(photo.key, {**fields, "label": 0})


def drawn_field(module: ModuleType) -> str:
    """The field that a shift is drawn on: `image`, `audio` or `text`; `image` for shifts of whole samples."""
    if getattr(module, "TASK", "") == "audio_visual":
        return "audio"
    return str(module.FIELD or "image")


def drawable_shifts() -> tuple[list[str], list[str]]:
    """The image shifts that can be drawn here, and the missing sources of the others."""
    modules = {name: registry.find("shifts", name) for name in registry.names("shifts")}
    missing_by_shift = {
        name: [source for source in getattr(module, "SOURCES", ()) if not original_folder(source).is_dir()]
        for name, module in modules.items()
        if getattr(module, "LEVELS", None)
        and drawn_field(module) == "image"
        and not hasattr(module, "TASK")  # of samples that are no images
    }
    missing = sorted({source for sources in missing_by_shift.values() for source in sources})
    return [name for name, sources in missing_by_shift.items() if not sources], missing


def sample_for(module: ModuleType, image: Path | None, sound: Path | None) -> list[Sample]:
    """The sample that a shift is drawn on: the user's image or sound, else a built-in one."""
    if image:
        return [own_image(image)]
    if sound:
        return [own_sound(sound)]
    return [built_in_sound() if drawn_field(module) == "audio" else built_in_image()]


def from_dataset(name: str, root: Path, count: int) -> list[Sample]:
    """The first test samples of a data set, from its shards or else from its sources.

    Raises:
        DataError: neither is here.
    """
    for local in (False, True):
        folder = (root / Ref("shards", f"{name}/test/identity/0", local).path).parent
        if (folder / shards.MANIFEST).is_file():
            return list(islice(shards.read(folder), count))
    module = registry.find("datasets", name)
    sources = {source: root / "data/sources" / source for source in module.SOURCES}
    missing = [source for source, folder in sources.items() if not folder.is_dir()]
    if missing or hasattr(module, "needs"):
        raise DataError(
            f"no test shards of {name} below {root}, and its source files are not here either; "
            "run the benchmark or `shiftbench pull` first, or name an image with --image"
        )
    samples = module.samples(module.NATIVE[-1], sources, {**registry.defaults(module), "name": name})
    return [sample for sample in islice(samples, count) if isinstance(sample, Sample)]


def sheet(shift: str, samples: list[Sample], seed: int = 0) -> Image.Image:
    """A contact sheet: a row per sample, a column per severity.

    Raises:
        ParamsError: the shift changes texts.
        DataError: a sample lacks the field that the shift changes.
    """
    module = registry.find("shifts", shift)
    if getattr(module, "FIELD", None) == "text":
        raise ParamsError(f"shift {shift!r} changes texts; it has no images")
    rows = [[_tile(fields) for fields in _rising(shift, module, sample, seed)] for sample in samples]
    width = max(tile.width for row in rows for tile in row) + GAP
    heights = [max(tile.height for tile in row) + GAP for row in rows]
    picture = Image.new("RGB", (len(rows[0]) * width + GAP, HEADER + sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for column, severity in enumerate(severities(module)):
        draw.text((GAP + column * width, GAP), f"{shift} {number(severity)}", fill="black")
        top = HEADER
        for row, height in zip(rows, heights, strict=True):
            picture.paste(row[column], (GAP + column * width, top))
            top += height
    return picture


def overview(shifts: list[str], sample: Sample, levels: tuple[float, ...] = (1.0, 3.0, 5.0)) -> Image.Image:
    """One sheet of many shifts, three per line, each at some levels below its name."""
    tiles = [[corrupt(sample, name, level).fields["image"] for level in levels] for name in shifts]
    side = Image.fromarray(sample.fields["image"]).size
    block = (len(levels) * (side[0] + GAP) + 2 * GAP, side[1] + HEADER)
    lines = -(-len(shifts) // PER_LINE)
    picture = Image.new("RGB", (PER_LINE * block[0], lines * block[1] + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for place, (name, row) in enumerate(zip(shifts, tiles, strict=True)):
        left, top = place % PER_LINE * block[0] + GAP, place // PER_LINE * block[1]
        draw.text((left, top + GAP), name, fill="black")
        for column, tile in enumerate(row):
            at = (left + column * (side[0] + GAP), top + HEADER)
            picture.paste(Image.fromarray(tile).convert("RGB"), at)
    return picture


def texts(shift: str, text: str = TEXT, seed: int = 0) -> list[str]:
    """A text at rising severity, one line each."""
    module = registry.find("shifts", shift)
    return [
        f"{number(severity)}  {corrupt(text, shift, severity, seed, 'preview/text')}" for severity in severities(module)
    ]


def _rising(shift: str, module: ModuleType, sample: Sample, seed: int) -> Iterator[Mapping[str, Any]]:
    for severity in severities(module):
        yield corrupt(sample, shift, severity, seed).fields


def _tile(fields: Mapping[str, Any]) -> Image.Image:
    """A tile: an image with its joints as points, or the picture of a sound; enlarged without smoothing."""
    if "audio" in fields:
        return Image.fromarray(sound_pictures.picture(fields["audio"], SIDE, SIDE // 2)).convert("RGB")
    picture = Image.fromarray(fields["image"]).convert("RGB")
    scale = SIDE / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    smooth = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    picture = picture.resize(size, smooth)
    draw = ImageDraw.Draw(picture)
    for pose in fields.get("poses", []):
        for x, y, visibility in pose["joints"]:
            if visibility:
                draw.circle((x * scale, y * scale), 2, fill=JOINT)
    return picture
