"""Filters of predicted boxes: what is left on images out of distribution, and what a filter costs in recall.

A box counts if its score reaches `confidence` and it passes a filter of `methods/box_filters.py`. Images are resampled,
not boxes. Scores of filters are never flipped.

Source of all: "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.plugins.metrics.boxes_and_masks import flat, per_image
from shiftbench.statistics import box_matching
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows

COLUMNS = ("scores", "filters", "filters_at_recall")

Flags = NDArray[np.bool_]
Confidence = Annotated[float, Field(ge=0, le=1, description="lowest score of a box that counts")]
Filter = Annotated[int, Field(ge=1, description="number of the filter of `box_filters`, from 1")]
FilterOrNone = Annotated[
    int, Field(ge=0, description="number of the filter of `box_filters` that boxes must pass; 0: none")
]
AtRecall = Annotated[
    bool, Field(description="whether the confidence is that of equal ID recall (`box_filters`), not `confidence`")
]
Area = Annotated[
    Literal["all", "small", "medium", "large"], Field(description="true boxes that count, by COCO's ranges of area")
]
Clean = Annotated[bool, Field(description="whether images with a true box of the model's classes are left out")]


def _confident(rows: Rows, confidence: float) -> Flags:
    """Which predicted boxes reach a confidence, bool (boxes,), in the order of the column `scores`."""
    if not 0 <= confidence <= 1:
        raise ParamsError(f"confidence is {confidence:g}; expected 0 to 1")
    confident: Flags = flat(rows.table, "scores")[1] >= confidence
    return confident


def _counting(rows: Rows, confidence: float, number: int, *, at_recall: bool = False) -> Flags:
    """Which predicted boxes count, bool (boxes,)."""
    confident = _confident(rows, confidence)
    if at_recall:
        return _passing(rows, "filters_at_recall", number, len(confident))
    return confident & _passing(rows, "filters", number, len(confident))


def _passing(rows: Rows, column: str, number: int, count: int) -> Flags:
    """Which of `count` predicted boxes pass a filter: its bit in a column, bool (boxes,)."""
    if number < 0:
        raise ParamsError(f"filter is {number}; expected 0 (none) or the number of a filter, from 1")
    if column == "filters" and number == 0:
        return np.ones(count, dtype=bool)
    bits = flat(rows.table, column)[1]
    if len(bits) != count:
        raise ParamsError("these records hold no filters of boxes; evaluate with the method `box_filters`")
    return (bits.astype(np.int64) >> number & 1).astype(bool)


def _ranks(rows: Rows, number: int) -> Ints:
    """Rank of each predicted box under a filter, in billionths, int64 (boxes,)."""
    count = len(flat(rows.table, "scores")[1])
    ranks = flat(rows.table, "filter_ranks_e9")[1].astype(np.int64)
    width = len(ranks) // count if count else number
    if number < 1 or number > width:
        raise ParamsError(f"filter is {number}; expected 1 to {width}, the number of a filter of `box_filters`")
    return ranks.reshape(-1, width)[:, number - 1] if count else ranks


def _sums(rows: Rows, *amounts: NDArray[np.generic]) -> Contributions:
    """Each image adds amounts over its predicted boxes."""
    images, _ = flat(rows.table, "scores")
    return Contributions(rows.counting, tuple(per_image(rows, images, one.astype(np.int64)) for one in amounts))


def _share(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0], sums.sums[1])


def _mean_rank(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0], E9 * sums.sums[1])


def _per_image(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0], sums.count)


@declare.sample_metric(columns=(*COLUMNS, "filter_ranks_e9"), finish=_mean_rank, higher_is_better=True)
def box_auroc(rows: Rows, confidence: Confidence = 0.25, filter: Filter = 1) -> Contributions:
    """AUROC of a filter over boxes: how often a confident box scores higher than an ID box, ties by half.

    The ID boxes are those that calibrate the filter (`methods/box_filters.py`). The AUROC is the mean rank among them
    of the boxes of these images. The images of the calibration are not resampled. On ID images it should be near 0.5.
    NaN without a box.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve": the probability that one of
    each is in the right order; arXiv:2503.07330.
    """
    confident = _confident(rows, confidence)
    return _sums(rows, _ranks(rows, filter) * confident, confident)


@declare.sample_metric(columns=COLUMNS, finish=_share, higher_is_better=False)
def box_fpr(rows: Rows, confidence: Confidence = 0.25, filter: Filter = 1) -> Contributions:
    """FPR of a filter: share of confident boxes that pass the threshold which lets 95% of ID boxes pass.

    On images out of distribution it is FPR95 over detections, with ID positive. On ID images it is the share that
    passes there, which should be near 0.95. NaN without a box.

    Source: arXiv:2503.07330. We differ: the threshold is set on images of its own (`methods/box_filters.py`). The
    authors' scripts take the nearest vertex of the ROC curve of the tested boxes, and flip scores with an AUROC below
    0.5.
    """
    return _sums(rows, _counting(rows, confidence, filter), _confident(rows, confidence))


@declare.sample_metric(
    columns=(*COLUMNS, "matched", "ignored", "true_classes", "true_areas", "true_crowd"),
    finish=_share,
    higher_is_better=True,
)
def box_recall(
    rows: Rows,
    *,
    confidence: Confidence = 0.25,
    filter: FilterOrNone = 0,
    at_recall: AtRecall = False,
    area: Area = "all",
) -> Contributions:
    """Recall: share of true boxes that a predicted box of their class finds (IoU 0.5) at a confidence, under a filter.

    Unlike `ar` it is the recall of the detector as it is used: a box that does not count finds nothing. A true box
    that a filtered box had found stays lost, though another box may have found it too, since matches are those of all
    boxes. NaN without a true box.

    Source: arXiv:2503.07330, recall at IoU 0.5, of small objects too; matches are COCO's, arXiv:1405.0312.
    """
    if area not in box_matching.AREAS:
        raise ParamsError(f"area: {area!r} ({suggest(area, box_matching.AREAS)})")
    matched, ignored = (flat(rows.table, name)[1].astype(np.int64) for name in ("matched", "ignored"))
    correct = (matched & ~ignored) >> box_matching.bit(area, 0) & 1
    images, _ = flat(rows.table, "scores")
    hits = per_image(rows, images, correct * _counting(rows, confidence, filter, at_recall=at_recall))
    own, classes = flat(rows.table, "true_classes")
    areas, crowd = (flat(rows.table, name)[1] for name in ("true_areas", "true_crowd"))
    low, high = box_matching.AREAS[area]
    true = (classes >= 0) & ~crowd.astype(bool) & (areas >= low) & (areas <= high)
    return Contributions(rows.counting, (hits, per_image(rows, own, true.astype(np.int64))))


@declare.sample_metric(
    columns=(*COLUMNS, "true_classes"),
    finish=_per_image,
    higher_is_better=False,
    unit="boxes per image",
    bounds=(0.0, None),
)
def hallucinations(
    rows: Rows,
    *,
    confidence: Confidence = 0.25,
    filter: FilterOrNone = 0,
    at_recall: AtRecall = False,
    clean: Clean = False,
) -> Contributions:
    """Hallucinations: predicted boxes per image, on images where no class of the model is to be found.

    The number of detections is divided by the number of images, so that sets can be compared. What a box finds is not
    checked: on ID images it is the number of detections.

    `clean: true` is what an audit of a benchmark with known labels would do.

    Source: arXiv:2503.07330, number of detections left; 0.25 is the authors' code's.
    """
    images, _ = flat(rows.table, "scores")
    boxes = per_image(rows, images, _counting(rows, confidence, filter, at_recall=at_recall).astype(np.int64))
    count = rows.counting
    if clean:
        own, classes = flat(rows.table, "true_classes")
        count = count * (per_image(rows, own, (classes >= 0).astype(np.int64)) == 0)
    return Contributions(count, (boxes * count,))
