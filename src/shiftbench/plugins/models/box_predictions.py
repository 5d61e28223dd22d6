"""Published boxes of a detector as a model: `theirs: {use: box_predictions, path: theirs}`, with the trainer `given`.

The folder `path` has a file for each split that the model answers for, named by the keys of its samples: of
`cz_b/test/000000000007` it is

- `cz_b/test.bbox.json`: results in COCO's layout, a list of `image_id`, `category_id`, `bbox` (x, y, w, h in pixels)
  and `score`, as MMDetection's `CocoMetric` (`outfile_prefix`) and Ultralytics' `save_json` write them. An image
  without a result has no box.
- or `cz_b/test.parquet`, a row for each image, for what a list cannot say: `image_id`, `boxes` (flat, or lists of
  four), `scores`, `classes` (0 to C - 1) and, so that filters can score them (`box_filters`), `logits` (k lists of
  C) and `features` (k lists of d) of each box. An image without a row is an error.

An image's id is the end of its key: a number, with or without leading zeros, or the name of its file without ending. It
answers for these images alone and cannot be evaluated under a shift that is applied here (`REEVALUABLE`).

Source: none; the layout is that of COCO's results (https://cocodataset.org, "Results format"), which MMDetection
(arXiv:1906.07155) writes.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes, _given, _published
from shiftbench.plugins.models._published import identity

TASK = "detection"
REEVALUABLE = False
Array = npt.NDArray[Any]
Answer = dict[str, Array]
"""Of one image: `boxes` float32 (k, 4), `scores` float32 (k,), `classes` int64 (k,), maybe `cell_logits` and more."""


class Options(declare.Options):
    path: _published.Folder = ""
    categories: list[int] = Field(
        [], description="category numbers of the classes, in order; empty: 1 to C, as in COCO"
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """What one file says: the answer of each image by its id, and that of an image that is not in it (None: none)."""

    images: Mapping[str, Answer]
    absent: Answer | None


def pretrained(params: Mapping[str, Any], inputs: Mapping[Any, Any]) -> nets.State:
    """State of the folder in a checkpoint."""
    return _given.folder_state(_published.folder(params, "box_predictions"))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each image."""
    folder = _published.folder(params, "box_predictions")
    _given.check_folder(weights, folder)
    numbers = _numbers(params, len(classes))

    @functools.lru_cache(maxsize=1)  # one split after the other: only one is held
    def split(place: str) -> Answers:
        return read(folder / place, numbers)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        answers = []
        for sample in samples:
            place, _, name = sample.key.rpartition("/")
            answers.append(_answer(split(place), name, sample.key))
        names = answers[0].keys()
        return {name: _boxes.ragged([one[name] for one in answers]) for name in names}

    return predict


def _numbers(params: Mapping[str, Any], count: int) -> dict[int, int]:
    """The class of each category number."""
    numbers = list(params["categories"]) or list(range(1, count + 1))
    if len(set(numbers)) != count or len(numbers) != count:
        raise ParamsError(
            f"box_predictions: categories has {len(numbers)} numbers; expected {count} different ones, one per class"
        )
    return {int(number): label for label, number in enumerate(numbers)}


def read(place: Path, numbers: Mapping[int, int]) -> Answers:
    """Predictions for the images of a split.

    Args:
        place: of the file, without its ending.
        numbers: category number -> class.

    Raises:
        ModelError: there is no file, or it has another layout; names the file and what was expected.
    """
    rows, results = (place.with_name(f"{place.name}.parquet"), place.with_name(f"{place.name}.bbox.json"))
    if rows.is_file():
        return _of_rows(rows, len(numbers))
    if results.is_file():
        return _of_results(results, numbers)
    raise ModelError(
        f"neither {results} nor {rows.name} is there; published predictions answer for the samples that they were "
        "made for alone"
    )


def _answer(answers: Answers, name: str, key: str) -> Answer:
    answer = answers.images.get(identity(name), answers.absent)
    if answer is None:
        raise ModelError(
            f"no row has the image_id {name!r}, of sample {key}; ids are the ends of keys, and an image without a box "
            "has a row of empty lists"
        )
    return answer


def _of_results(file: Path, numbers: Mapping[int, int]) -> Answers:
    def box(one: Mapping[str, Any]) -> tuple[list[float], float, int]:
        number = int(one["category_id"])
        place, score = [float(x) for x in one["bbox"]], float(one["score"])
        if number not in numbers:
            raise ModelError(
                f"{file}: image {identity(one['image_id'])} has the category {number}; `categories` are "
                f"{_listing(numbers)}"
            )
        return place, score, numbers[number]

    by_image = _published.by_image(file, "image_id, category_id, bbox and score", box)
    made = {}
    for image, boxes in by_image.items():
        places, scores, classes = zip(*boxes, strict=True)
        made[image] = _made(places, scores, classes, file)
    return Answers(made, _made([], [], [], file))


def _listing(numbers: Mapping[int, int]) -> str:
    return f"{min(numbers)} to {max(numbers)}" if numbers else "none"


def _of_rows(file: Path, count: int) -> Answers:
    table = pl.read_parquet(file)
    lacking = {"image_id", "boxes", "scores", "classes"} - set(table.columns)
    if lacking:
        raise ModelError(f"{file} has no column {min(lacking)!r}; it has {', '.join(table.columns)}")
    by_image: dict[str, Answer] = {}
    for row in table.iter_rows(named=True):
        image = identity(row["image_id"])
        if image in by_image:
            raise ModelError(f"{file} has two rows of the image {image}; expected one per image")
        by_image[image] = _made(row["boxes"], row["scores"], row["classes"], file)
        for name in ("logits", "features"):
            if name in table.columns:
                wide = np.asarray(row[name], dtype=np.float32)
                if wide.shape[:1] != (len(row["scores"]),) or (len(wide) and wide.ndim != 2):
                    raise ModelError(
                        f"{file}: image {image} has {name} of shape {wide.shape}; expected a list for each of "
                        f"{len(row['scores'])} boxes"
                    )
                by_image[image][f"cell_{name}"] = wide
        classes = by_image[image]["classes"]
        if len(classes) and not 0 <= classes.min() <= classes.max() < count:
            raise ModelError(f"{file}: image {image} has a class outside of 0 to {count - 1}")
    return Answers(_as_wide(by_image), None)


def _as_wide(by_image: dict[str, Answer]) -> dict[str, Answer]:
    """Give images without a box logits and features (0, d) as wide as those of the others."""
    for name in ("cell_logits", "cell_features"):
        own = [one for one in by_image.values() if name in one]
        width = max((one[name].shape[1] for one in own if len(one[name])), default=0)
        for one in own:
            if not len(one[name]):
                one[name] = np.zeros((0, width), dtype=np.float32)
    return by_image


def _made(boxes: Sequence[Any], scores: Sequence[float], classes: Sequence[int], file: Path) -> Answer:
    places = np.asarray(boxes, dtype=np.float32).reshape(-1)
    if len(places) != 4 * len(scores) or len(classes) != len(scores):
        raise ModelError(
            f"{file}: {len(places)} numbers of boxes, {len(scores)} scores and {len(classes)} classes of one image; "
            "expected four, one and one for each box"
        )
    return {
        "boxes": places.reshape(-1, 4),
        "scores": np.asarray(scores, dtype=np.float32),
        "classes": np.asarray(classes, dtype=np.int64),
    }
