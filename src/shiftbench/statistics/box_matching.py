"""COCO's greedy matching of predicted with true boxes, once per image.

Source: pycocotools 2.0.11, `COCOeval.evaluateImg` and `maskUtils.iou`; results are equal (tested). A prediction is
matched, best score first, with the free true box of its class that it overlaps most, if it does so by the threshold or
more. Crowds may be matched by many predictions, and only by those that match no other box. Similar matched with a
crowd, or with a box of another size than asked, are ignored, as are unmatched ones of another size and those beyond the
first hundred of their class.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

IOUS: Floats = np.linspace(0.5, 0.95, 10)
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
MAX_DETS = 100
_RANGES: Floats = np.array(list(AREAS.values()))


def bit(area: str, iou: int) -> int:
    """Place of an area and of a threshold among the bits of `matched` and `ignored`."""
    return list(AREAS).index(area) * len(IOUS) + iou


class Truth(NamedTuple):
    """The true boxes of an image: xywh float64 (g, 4), model's classes int64 (-1: none), areas float64, crowd bool."""

    xywh: Floats
    classes: Ints
    areas: Floats
    crowd: Flags


def match(boxes: Floats, scores: Floats, classes: Ints, truth: Truth) -> tuple[Ints, Ints]:
    """Match the predictions of one image at ten thresholds and four ranges of area.

    Args:
        boxes: xywh float64 (n, 4), in any order.
        scores: float64 (n,).
        classes: int64 (n,).
        truth: the true boxes.

    Returns:
        (matched, ignored), each int64 (n,): bits as `bit` numbers them, in the order of the predictions.
    """
    overlaps = _overlaps(np.ascontiguousarray(boxes), truth.xywh, truth.crowd)
    sizes = boxes[:, 2] * boxes[:, 3]
    return match_by(Similar(overlaps, sizes, scores, classes), truth, truth.crowd, MAX_DETS)


class Similar(NamedTuple):
    """Similar of an image and how similar they are to the true ones.

    Attributes:
        similarity: of each prediction and each true one, 0 to 1, float64 (n, g).
        sizes: area of each prediction, float64 (n,).
        scores: float64 (n,).
        classes: int64 (n,).
    """

    similarity: Floats
    sizes: Floats
    scores: Floats
    classes: Ints


def match_by(predicted: Similar, truth: Truth, uncounted: Flags, limit: int) -> tuple[Ints, Ints]:
    """Match predictions by any similarity, at the thresholds `IOUS`; results as of `match`.

    Args:
        predicted: the predictions, in any order.
        truth: classes, areas and crowds are read.
        uncounted: which true ones count neither for nor against; crowds among them, bool (g,).
        limit: how many predictions of a class count, best score first.
    """
    order = np.argsort(-predicted.scores, kind="stable")
    matched, ignored = np.zeros((2, len(order)), dtype=np.int64)
    if len(order):
        similar = np.ascontiguousarray(predicted.similarity[order])
        matched[order], ignored[order] = _match(
            similar, predicted.sizes[order], predicted.classes[order], truth.classes, truth.areas, truth.crowd,
            uncounted, _RANGES, IOUS, limit,
        )  # fmt: skip
    return matched, ignored


@compiled
def _overlaps(boxes: Floats, true: Floats, crowd: Flags) -> Floats:
    """IoU of each prediction and each true box, (n, g); of a crowd, the share that lies in it."""
    overlap = np.zeros((len(boxes), len(true)))
    for i in range(len(boxes)):
        area = boxes[i, 2] * boxes[i, 3]
        for j in range(len(true)):
            w = min(boxes[i, 0] + boxes[i, 2], true[j, 0] + true[j, 2]) - max(boxes[i, 0], true[j, 0])
            h = min(boxes[i, 1] + boxes[i, 3], true[j, 1] + true[j, 3]) - max(boxes[i, 1], true[j, 1])
            if w > 0 and h > 0:
                union = area if crowd[j] else area + true[j, 2] * true[j, 3] - w * h
                overlap[i, j] = w * h / union
    return overlap


@compiled
def _match(  # noqa: C901, PLR0913, PLR0915 - a compiled loop takes arrays and scalars only, and calls no other
    overlap: Floats,
    sizes: Floats,
    classes: Ints,
    true_classes: Ints,
    areas: Floats,
    crowd: Flags,
    uncounted: Flags,
    ranges: Floats,
    ious: Floats,
    limit: int,
) -> tuple[Ints, Ints]:
    n, g = overlap.shape
    matched, ignored = np.zeros(n, np.int64), np.zeros(n, np.int64)
    rank = np.zeros(n, np.int64)
    for i in range(n):
        for j in range(i):
            if classes[j] == classes[i]:
                rank[i] += 1
    skip, order = np.zeros(g, np.bool_), np.zeros(g, np.int64)
    for a in range(len(ranges)):
        filled = 0
        for j in range(g):
            skip[j] = uncounted[j] or areas[j] < ranges[a, 0] or areas[j] > ranges[a, 1]
        for last in (False, True):  # those that count come first
            for j in range(g):
                if skip[j] == last:
                    order[filled] = j
                    filled += 1
        for t in range(len(ious)):
            flag = np.int64(1) << (a * len(ious) + t)
            is_taken = np.zeros(g, np.bool_)
            for i in range(n):
                if rank[i] >= limit:
                    ignored[i] |= flag
                    continue
                best, partner = min(ious[t], 1 - 1e-10), -1
                for place in range(g):
                    j = int(order[place])
                    if true_classes[j] != classes[i] or (is_taken[j] and not crowd[j]):
                        continue
                    if partner > -1 and not skip[partner] and skip[j]:
                        break
                    if overlap[i, j] >= best:
                        best, partner = overlap[i, j], j
                if partner > -1:
                    is_taken[partner] = True
                    matched[i] |= flag
                    if skip[partner]:
                        ignored[i] |= flag
                    continue
                if sizes[i] < ranges[a, 0] or sizes[i] > ranges[a, 1]:
                    ignored[i] |= flag
    return matched, ignored
