"""CNS-Bench's filter set, if you have it: images that somebody labelled as in or out of class, with their four scores.

    datasets:
      labelled: {use: cns_labelled, path: /data/cns_labelled}

`path` holds the images, in folders as the generator writes them (CLASS/FILE), and `labels.csv`: the tables that the
released `evaluation/eval_exp_clip_dino.py` writes, side by side, with a last column of yours. Columns that are read:
`img_dir` (its last two parts are looked for below `path`), `i_class` (ImageNet's index), `CLIP_class`,
`CLIP_class_shift`, `CLIP_ref`, `DINO_ref_no_head`, and `out_of_class` (0 or 1, by hand). The scores stand in `meta`,
for the analysis `labelled_filter`. Whether the authors' own labels are published was not found.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651; `evaluation/` of odunkel/CNS-Bench.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import imagenet
from shiftbench.plugins.datasets._pictures import read_array

TASK = "classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "of your images and labels; state it as `licence:`"
CITATION = (
    "Dunkel et al., CNS-Bench: Benchmarking Image Classifier Robustness Under Continuous Nuisance Shifts, ICCV 2025, "
    "arXiv:2507.17651"
)
REDISTRIBUTE = False
IN_ORDER = True
TABLE, OUT = "labels.csv", "out_of_class"
SCORES = ("CLIP_class", "CLIP_class_shift", "CLIP_ref", "DINO_ref_no_head")


class Options(declare.Options):
    path: str = Field("", description="folder with `labels.csv` and the images")
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """ImageNet's thousand class names."""
    return imagenet.classes({}, {})


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield images: `image` uint8 (h, w, 3), `label`, `meta` with scores and `out_of_class`; a bad row as its error.

    Raises:
        ParamsError: no folder is given.
        DataError: there is no table, or it lacks a column.
    """
    if not params["path"]:
        raise ParamsError(f"cns_labelled: option path is missing; give the folder of {TABLE}")
    folder = Path(params["path"]).expanduser()
    for number, row in enumerate(_table(folder / TABLE)):
        yield _sample(folder, number, row)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    folder = Path(params["path"]).expanduser()
    return {str(folder / TABLE): "scores and hand labels, beside the images"}


def _table(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; it holds the scores and labels of the images")
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    missing = [name for name in ("img_dir", "i_class", *SCORES, OUT) if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"{file} lacks the column {missing[0]!r}; see the dataset's description")
    return rows


def _sample(folder: Path, number: int, row: dict[str, str]) -> Sample | DataError:
    key = f"cns_labelled/test/{number:06d}"
    try:
        image = read_array(folder.joinpath(*Path(row["img_dir"]).parts[-2:]), key)
        scores = {name: float(row[name]) for name in SCORES}
        label, out = int(float(row["i_class"])), {"0": 0, "1": 1}[row[OUT].strip()]
        if not all(map(math.isfinite, scores.values())):
            raise ValueError("a score that is not finite")
    except DataError as error:
        return error
    except (KeyError, ValueError) as error:
        return DataError(f"{key}: line {number + 2} of {folder / TABLE} is wrong: {error}")
    return Sample(key, {"image": image, "label": label, "meta": {**scores, OUT: out}})
