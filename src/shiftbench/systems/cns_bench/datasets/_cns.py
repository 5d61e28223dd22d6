"""CNS-Bench as it is released: the annotation file, the paths of images in it, and the shipped correctness.

A *path* is one class, one random seed and one nuisance at six scales; scale 0 is the image without the nuisance.
Scales are read from `annotations_cns.json`, and of shipped results from the name of the image, not from their column
`scale`: the released `prepare_csv_files.py` cuts five characters off the name, which is right for the names that the
generator writes (`..._scale_1000m.png`) and a tenth for those of the released images (`..._scale_1000.jpg`). The
results that the released notebook draws have the scales 0 to 2.5, so they were made of the former; who evaluates the
released images and runs that script gets 0 to 0.25.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651; `benchmarking/` of odunkel/CNS-Bench.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError, ParamsError, suggest

ANNOTATIONS = "annotations_cns.json"
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
NUISANCES = (
    "cartoon_style", "plush_toy_style", "pencil_sketch_style", "painting_style", "the_design_of_sculpture",
    "graffiti_style", "video_game_renditions_style", "tattoo_style",
    "heavy_snow", "heavy_rain", "heavy_fog", "heavy_smog", "heavy_dust", "heavy_sandstorm",
)  # fmt: skip
"""Names of directories. Ten are seen in the release (its notebooks' figures and scripts); those of tattoo, fog, dust
and sandstorm are inferred, and where they are others the error says which there are."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its file below the folder, and where it belongs."""

    file: str
    nuisance: str
    label: int
    seed: int
    scale: float

    @property
    def path(self) -> tuple[int, int]:
        """Class and seed: the path of a nuisance that it lies on."""
        return self.label, self.seed


@dataclass(frozen=True, slots=True)
class Annotations:
    """Content of the annotation file."""

    licence: str
    images: tuple[Image, ...]

    def paths(self, nuisance: str) -> dict[tuple[int, int], dict[float, Image]]:
        """The paths of a nuisance, in order: (class, seed) -> scale -> image.

        Raises:
            ParamsError: there is no such nuisance.
        """
        nuisances = sorted({image.nuisance for image in self.images})
        if nuisance not in nuisances:
            raise ParamsError(f"CNS-Bench has no nuisance {nuisance!r}; {suggest(nuisance, nuisances)}")
        images_by_path: dict[tuple[int, int], dict[float, Image]] = {}
        for image in self.images:
            if image.nuisance == nuisance:
                images_by_path.setdefault(image.path, {})[image.scale] = image
        return dict(sorted(images_by_path.items()))


@lru_cache(maxsize=2)
def read(folder: Path) -> Annotations:
    """Read the annotation file of a folder.

    Raises:
        DataError: there is none, it lacks something, or two images stand at one place of a path.
    """
    file = folder / ANNOTATIONS
    if not file.is_file():
        raise DataError(f"{file} does not exist; `path` is the folder that holds it beside the images")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        images = tuple(_image(row) for row in content["images"])
        licence = str(content["info"]["license"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is not the annotation file of CNS-Bench: {error!r}") from error
    places = {(image.nuisance, *image.path, image.scale) for image in images}
    if len(places) < len(images):
        raise DataError(f"{file}: {len(images) - len(places)} images stand at the place of another")
    return Annotations(licence, images)


def _image(row: dict[str, Any]) -> Image:
    return Image(str(row["image"]), str(row["shift"]), int(row["class"]), int(row["seed"]), float(row["scale"]))


def missing_scales(path: Iterable[float]) -> list[float]:
    """The scales, of six, that a path lacks."""
    return sorted(set(SCALES) - set(path))


# ------------------------------------------------------------------ shipped correctness


@dataclass(frozen=True, slots=True)
class Result:
    """One row of `results.zip`: what a model said of an image, and whether the file calls that right.

    Seed and scale are those of the image's name.
    """

    label: int
    seed: int
    scale: float
    predicted: int
    correct: bool


def results(archive: Path, model: str, nuisance: str) -> list[Result]:
    """The shipped results of a model under a nuisance, in the order of the file.

    Args:
        archive: `results.zip`, which holds one `MODEL__NUISANCE.csv` each.
        model: as timm calls it.
        nuisance: as directories are called.

    Raises:
        DataError: no such file, or one without the columns.
    """
    member = f"{model}__{nuisance}.csv"
    with zipfile.ZipFile(archive) as files:
        members = {Path(name).name: name for name in files.namelist()}
        if member not in members:
            raise DataError(f"{archive} holds no {member}; {suggest(member, members)}")
        text = files.read(members[member]).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = {"pred_class", "gt_class", "img_name", model}
    if not rows or not columns <= rows[0].keys():
        raise DataError(f"{member} in {archive} has not the columns {', '.join(sorted(columns))}")
    return [_result(row, model) for row in rows]


def _result(row: dict[str, str], model: str) -> Result:
    seed, scale = place(row["img_name"])
    return Result(int(float(row["gt_class"])), seed, scale, int(float(row["pred_class"])), row[model] == "True")


def place(name: str) -> tuple[int, float]:
    """Seed and scale of an image by its file's name.

    Raises:
        DataError: the name says none.

    Example:
        >>> place("seed_0034_scale_1000.jpg"), place("seed_0034_startnoise_0750_scale_0500m.png")
        ((34, 1.0), (34, 0.5))
    """
    match = re.fullmatch(r"seed_(\d+)_(?:.*_)?scale_(\d+)m?\.\w+", name)
    if not match:
        raise DataError(f"{name!r} says no seed and scale; expected a name like seed_0034_scale_1000.jpg")
    return int(match[1]), int(match[2]) / 1000


def failure_points(
    rows: Iterable[Result], never: float = 3.0, *, released: bool = False
) -> dict[tuple[int, int], float]:
    """The scale at which each path of one nuisance fails first: (class, seed) -> scale.

    Args:
        rows: of one model and nuisance.
        never: for a path that does not fail.
        released: the first failing row in the order of the file, as the released notebook takes it; else the failing
            row of the least scale.
    """
    ordered = list(rows) if released else sorted(rows, key=lambda row: row.scale)
    points = {(row.label, row.seed): never for row in ordered}
    for row in reversed(ordered):
        if not row.correct:
            points[row.label, row.seed] = row.scale
    return points
