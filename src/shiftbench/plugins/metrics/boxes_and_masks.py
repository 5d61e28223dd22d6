"""Boxes, keypoints and masks of images: average precision, and means over tampered images and over persons.

Average precision is of boxes, whose overlap is IoU, or of keypoints, whose similarity is OKS.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.data.formats import E9
from shiftbench.plugins import declare, fields
from shiftbench.statistics import average_precision
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows
from shiftbench.statistics.thresholds import Weights

# ------------------------------------------------------------------ average precision

Iou = Annotated[float, Field(ge=0, lt=1, description="overlap: 0.5 to 0.95 in steps of 0.05; 0: mean over the ten")]
Area = Annotated[
    Literal["all", "small", "medium", "large"],
    Field(description="all objects, or those below 32 x 32 pixels, up to 96 x 96 pixels, or above"),
]
MaxDets = Annotated[int, Field(ge=1, le=100, description="detections per image and class that count, best first")]
Classes = Annotated[Sequence[int], Field(description="numbers of the classes that count; empty: all")]


@declare.resampled_metric(columns=average_precision.COLUMNS, higher_is_better=True)
def map(
    rows: Rows, weights: Weights, iou: Iou = 0.0, area: Area = "all", max_dets: MaxDets = 100, classes: Classes = ()
) -> Floats:
    """Mean average precision: over classes and the ten overlaps (IoU) from 0.5 to 0.95, areas of all sizes.

    Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312; pycocotools, `COCOeval` (equal to 1e-9 on the data as
    they are).
    """
    return average_precision.average_precision(rows, weights, average_precision.options(iou, area, max_dets, classes))


@declare.resampled_metric(columns=average_precision.COLUMNS, higher_is_better=True)
def ar(
    rows: Rows, weights: Weights, iou: Iou = 0.0, area: Area = "all", max_dets: MaxDets = 100, classes: Classes = ()
) -> Floats:
    """Average recall: over classes and ten overlaps, of at most 100 detections per image and class (keypoints: 20).

    Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312; pycocotools, `COCOeval` (equal to 1e-9 on the data as
    they are).
    """
    return average_precision.average_recall(rows, weights, average_precision.options(iou, area, max_dets, classes))


# ------------------------------------------------------------------ masks of tampered images

MASKS = ("mask_hit", "mask_false", "mask_missed", "called")
RULES = ("all", "detected", "gated")
Rule = Annotated[
    Literal["all", "detected", "gated"],
    Field(description="tampered images that are predicted real: count as others, do not count, or count as 0"),
]


def _masks(rows: Rows, rule: str, times: int) -> Contributions:
    """Each truly tampered image adds the measure of its mask, in billionths.

    With H pixels right, F predicted falsely and M missed, IoU = H / (H + F + M) and F1 = 2 H / (2 H + F + M); `times`
    is the factor of H. Both are defined for each image that counts, since a true mask is never empty. Images without a
    true mask, and models without masks, do not count.

    `rule` says what happens to a tampered image that is not predicted tampered: with `all` its mask counts as any
    other, with `detected` the image does not count, with `gated` its mask is taken for empty, so that it counts as 0.
    """
    if rule not in RULES:
        raise ParamsError(f"rule = {rule!r}; {suggest(rule, RULES)}")
    counting = rows.present("mask_hit")
    called = (rows.column("called") > 0).astype(np.int64)
    if rule == "detected":
        counting = counting * called
    hit = times * rows.column("mask_hit")
    whole = np.maximum(1, hit + rows.column("mask_false") + rows.column("mask_missed"))
    value = (2 * E9 * hit + whole) // (2 * whole)  # rounded, in whole numbers
    return Contributions(counting, (value * counting * (called if rule == "gated" else 1),))


def _mean_mask(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0] / E9, sums.count)


@declare.sample_metric(columns=MASKS, finish=_mean_mask, higher_is_better=True)
def mean_iou(rows: Rows, rule: Rule = "all") -> Contributions:
    """Mean IoU: mean over tampered images of the overlap (IoU) of the predicted mask with the true one.

    Source: Jaccard; scikit-learn `jaccard_score` of the pixels of each image, averaged. The rule of So-Fake's authors
    (arXiv:2505.18660) was not found.
    """
    return _masks(rows, rule, times=1)


@declare.sample_metric(columns=MASKS, finish=_mean_mask, higher_is_better=True)
def pixel_f1(rows: Rows, rule: Rule = "all") -> Contributions:
    """Pixel F1: mean over tampered images of the F1 of the pixels that were predicted tampered.

    Source: scikit-learn `f1_score` of the pixels of each image, averaged. Over the pixels of all images together it
    would be 2 IoU / (1 + IoU) of theirs. The pairs that So-Fake reports (arXiv:2505.18660) lie below that, as means
    over images do.
    """
    return _masks(rows, rule, times=2)


# ------------------------------------------------------------------ persons and their joints


def flat(table: pa.Table, name: str) -> tuple[Ints, NDArray[Any]]:
    """The row of each element of a column of lists, and the elements; rows without a list have none."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no rows
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    sizes = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.repeat(np.arange(len(sizes)), sizes), column.flatten().to_numpy(zero_copy_only=False)


def per_image(rows: Rows, images: Ints, amounts: Ints) -> Ints:
    """The sum of amounts over the elements of each row that counts, int64 (n,)."""
    total = np.zeros(len(rows), dtype=np.int64)
    np.add.at(total, images, amounts)
    return total * rows.counting


def _of_persons(rows: Rows, column: str) -> tuple[Ints, Ints]:
    """The row of each value of a person or joint, and the values, int64 (k,) each.

    Values of -1 mean that there is none. Persons that do not count (crowds, those without a labelled joint) are left
    out.
    """
    images, values = flat(rows.table, column)
    persons, out = flat(rows.table, "true_crowd")
    each = len(values) // len(persons) if len(persons) else 1
    kept = (values >= 0) & ~np.repeat(out.astype(bool), each)
    return images[kept], values[kept].astype(np.int64)


def _share(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0], sums.sums[1])


@declare.sample_metric(columns=("errors_e9", "true_crowd"), finish=_share, higher_is_better=True)
def pck(
    rows: Rows,
    within: Annotated[float, Field(gt=0, lt=1, description="largest distance of a correct joint, in torsos")] = 0.2,
) -> Contributions:
    """PCK: share of labelled joints that are predicted within `within` torsos of where they are; NaN without a joint.

    A torso is the longer diagonal from a shoulder to the other hip.

    Source: Yang and Ramanan 2013, "Articulated human detection with flexible mixtures of parts",
    doi:10.1109/TPAMI.2012.261 (there by the size of the box); by the torso in Sapp and Taskar 2013, "MODEC".
    """
    if not 0 < within < 1:
        raise ParamsError(f"pck: within is {within:g}; expected torsos, above 0 and below 1")
    images, errors = _of_persons(rows, "errors_e9")
    number = per_image(rows, images, np.ones_like(images))
    hits = (errors <= round(within * E9)).astype(np.int64)
    return Contributions(np.minimum(number, 1), (per_image(rows, images, hits), number))


def _person_facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {"COLUMNS": (options["column"], "true_crowd"), "UNIT": options["unit"], "RANGE": (0.0, options["high"])}


def _person_means(sums: Sums, column: str, **_: object) -> Floats:
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.sums[1])


@declare.sample_metric(finish=_person_means, facts=_person_facts, higher_is_better=False)
def _person_mean(
    rows: Rows,
    column: fields.Column = "",
    unit: fields.Unit = "share",
    high: Annotated[float | None, Field(description="largest value; null: none")] = None,
) -> Contributions:
    """Mean over persons of a measure of each."""
    images, values = _of_persons(rows, column)
    number = per_image(rows, images, np.ones_like(images))
    return Contributions(np.minimum(number, 1), (per_image(rows, images, values), number))
