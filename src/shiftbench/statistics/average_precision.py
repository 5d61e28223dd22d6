"""COCO's average precision and recall under every bootstrap resample at once, from the matches in records.

The detections of a class are sorted once over all images, best score first, and walked through twice for each resample:
forwards for the counts, backwards for the envelope of precision, which is read where recall passes each of 101
levels. A resample that takes an image w times counts each of its detections w times in a row. So a weight is a number
of copies, unless an image has detections of equal class and score, whose copies would alternate. No array of detections
x resamples is made.

Source: pycocotools 2.0.11, `COCOeval.accumulate` and `summarize`; the values on the data as they are agree with it to
1e-9 (tested). A class without a true box (in a resample) does not count there.

Of few images the mean over resamples lies above the value (by 1 point of AP at 150 images with two objects each): an
image drawn twice is found twice. Differences of two sets over the same images share most of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics import box_matching
from shiftbench.statistics.rows import Floats, Ints, Rows
from shiftbench.statistics.thresholds import Weights

COLUMNS = ("scores", "classes", "matched", "ignored", "true_classes", "true_areas", "true_crowd")
_RECALLS: Floats = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the measurement.

    Attributes:
        iou: one of COCO's ten thresholds; 0: the mean over all.
        area: size of the objects that count, a name of `box_matching.AREAS`.
        max_dets: detections per image and class that count.
        classes: numbers of the model's classes that count; empty: all.
    """

    iou: float
    area: str
    max_dets: int
    classes: tuple[int, ...]

    def bits(self) -> Ints:
        """Bits of the thresholds in `matched` and `ignored`, int64.

        Raises:
            ParamsError: an option outside what is allowed.
        """
        if self.area not in box_matching.AREAS:
            raise ParamsError(f"area: {self.area!r} ({suggest(self.area, box_matching.AREAS)})")
        if not 1 <= self.max_dets <= box_matching.MAX_DETS:
            raise ParamsError(f"max_dets: {self.max_dets}; expected 1 to {box_matching.MAX_DETS}")
        thresholds = np.flatnonzero(np.isclose(box_matching.IOUS, self.iou)) if self.iou else np.arange(10)
        if not len(thresholds):
            levels = ", ".join(f"{iou:g}" for iou in box_matching.IOUS)
            raise ParamsError(f"iou: {self.iou:g}; expected 0 (all) or one of {levels}")
        return np.array([box_matching.bit(self.area, int(t)) for t in thresholds], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The detections of a set of images by class, and its true boxes; images are numbered by row.

    Attributes:
        starts: where the detections of each class begin, int64 (K + 1,).
        images: of the detections, int64 (n,), best score first within a class.
        hits: 1 right, 0 wrong, -1 does not count; int8 (n, thresholds).
        true_classes, true_images: of the true boxes that count, int64 (g,).
    """

    starts: Ints
    images: Ints
    hits: NDArray[np.int8]
    true_classes: Ints
    true_images: Ints

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.starts) - 1


def average_precision(rows: Rows, weights: Weights, options: Options) -> Floats:
    """Mean over classes and thresholds of the average precision, float64 (k,); NaN without a true box."""
    ranked = rank(rows.table, options)
    return _mean(ranked, weights, _precision_areas(*_arguments(ranked, weights), _RECALLS))


def average_recall(rows: Rows, weights: Weights, options: Options) -> Floats:
    """Mean over classes and thresholds of the largest recall, float64 (k,); NaN without a true box."""
    ranked = rank(rows.table, options)
    return _mean(ranked, weights, _recall_sums(*_arguments(ranked, weights)))


def rank(table: pa.Table, options: Options) -> Ranked:
    """Sort the detections of records."""
    bits = options.bits()
    images, scores = _flat(table, "scores")
    classes = _flat(table, "classes")[1].astype(np.int64)
    true_images, true_classes = _flat(table, "true_classes")
    count = int(max(classes.max(initial=-1), true_classes.max(initial=-1))) + 1
    order = np.argsort(-scores, kind="stable")
    order = order[np.argsort(classes[order], kind="stable")]
    hits = _hits(table, bits, order)
    hits[_ranks(images[order], classes[order]) >= options.max_dets] = -1
    areas, crowd = _flat(table, "true_areas")[1], _flat(table, "true_crowd")[1]
    low, high = box_matching.AREAS[options.area]
    counts = (true_classes >= 0) & ~crowd.astype(bool) & (areas >= low) & (areas <= high)
    if options.classes:
        counts &= np.isin(true_classes, options.classes)
    return Ranked(
        np.searchsorted(classes[order], np.arange(count + 1)).astype(np.int64),
        images[order],
        hits,
        true_classes[counts].astype(np.int64),
        true_images[counts],
    )


def _hits(table: pa.Table, bits: Ints, order: Ints) -> NDArray[np.int8]:
    matched, ignored = ((_flat(table, name)[1][order][:, None] >> bits) & 1 for name in ("matched", "ignored"))
    return np.where(ignored == 1, -1, matched).astype(np.int8)


def _ranks(images: Ints, classes: Ints) -> Ints:
    """Rank of each detection in its image and class, from 0; detections are sorted by class, then score."""
    by_image = np.lexsort((images, classes))
    ordered_images, ordered_classes = images[by_image], classes[by_image]
    first = np.ones(len(images), dtype=bool)
    first[1:] = (ordered_images[1:] != ordered_images[:-1]) | (ordered_classes[1:] != ordered_classes[:-1])
    positions = np.arange(len(images))
    ranks = np.empty(len(images), dtype=np.int64)
    ranks[by_image] = positions - np.maximum.accumulate(np.where(first, positions, 0))
    return ranks


def _flat(table: pa.Table, name: str) -> tuple[Ints, NDArray[Any]]:
    """Row of each element of a column of lists, and the elements."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no rows
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    sizes = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(sizes)), sizes), values


def _arguments(ranking: Ranked, weights: Weights) -> tuple[Ints, Ints, NDArray[np.int8], Ints, Weights]:
    positives = np.zeros((ranking.classes, weights.shape[1]), dtype=np.int64)
    np.add.at(positives, ranking.true_classes, weights[ranking.true_images])
    return ranking.starts, ranking.images, ranking.hits, positives, weights


def _mean(ranking: Ranked, weights: Weights, total: Floats) -> Floats:
    """Divide a sum over classes and thresholds, (k,), by their number."""
    positives = np.zeros((ranking.classes, weights.shape[1]), dtype=np.int64)
    np.add.at(positives, ranking.true_classes, weights[ranking.true_images])
    number = (positives > 0).sum(axis=0) * ranking.hits.shape[1]
    mean = np.full(len(total), np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def options(iou: float, area: str, max_dets: int, classes: Sequence[int]) -> Options:
    """Options from the parameters of a metric."""
    return Options(float(iou), area, int(max_dets), tuple(int(label) for label in classes))


@compiled
def _precision_areas(  # noqa: C901 - a compiled loop calls no other
    starts: Ints, images: Ints, hits: NDArray[np.int8], positives: Ints, weights: Weights, recalls: Floats
) -> Floats:
    k = weights.shape[1]
    total = np.zeros(k)
    for c in range(len(starts) - 1):
        for t in range(hits.shape[1]):
            true, false = np.zeros(k, np.int64), np.zeros(k, np.int64)
            for i in range(starts[c], starts[c + 1]):
                row = weights[images[i]]
                if hits[i, t] == 1:
                    for d in range(k):
                        true[d] += row[d]
                elif hits[i, t] == 0:
                    for d in range(k):
                        false[d] += row[d]
            best, level, area = np.zeros(k), np.zeros(k, np.int64), np.zeros(k)
            for d in range(k):
                level[d] = len(recalls) - 1
                while positives[c, d] and recalls[level[d]] > true[d] / positives[c, d]:
                    level[d] -= 1
            for i in range(starts[c + 1] - 1, starts[c] - 1, -1):
                row = weights[images[i]]
                if hits[i, t] == 0:
                    for d in range(k):
                        false[d] -= row[d]
                elif hits[i, t] == 1:
                    for d in range(k):
                        if row[d] and positives[c, d]:
                            # Only where recall rises is the envelope read, or precision highest.
                            precision = true[d] / (true[d] + false[d] + 2.220446049250313e-16)
                            best[d] = max(best[d], precision)
                            true[d] -= row[d]
                            while recalls[level[d]] > true[d] / positives[c, d]:
                                area[d] += best[d]
                                level[d] -= 1
            for d in range(k):
                if positives[c, d]:
                    total[d] += (area[d] + best[d]) / len(recalls)  # the level 0 is passed at once
    return total


@compiled
def _recall_sums(starts: Ints, images: Ints, hits: NDArray[np.int8], positives: Ints, weights: Weights) -> Floats:
    k = weights.shape[1]
    total = np.zeros(k)
    for c in range(len(starts) - 1):
        for t in range(hits.shape[1]):
            true = np.zeros(k, np.int64)
            for i in range(starts[c], starts[c + 1]):
                if hits[i, t] == 1:
                    row = weights[images[i]]
                    for d in range(k):
                        true[d] += row[d]
            for d in range(k):
                if positives[c, d]:
                    total[d] += true[d] / positives[c, d]
    return total
