"""Recall: share of true boxes that a predicted box of their class finds (IoU 0.5) at a confidence, under a filter.

Unlike `ar` it is that of the detector as it is used: what is less sure than `confidence`, or does not pass the
`filter`, finds nothing. `area` is one of COCO's ranges. A true box that a filtered box had found stays lost, though
another box may have found it too (matches are those of all boxes).

Source: "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330, recall at IoU 0.5,
of small objects too; matches are COCO's, arXiv:1405.0312.
"""

from typing import Any

import numpy as np

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins.metrics import boxes_and_masks
from shiftbench.statistics import box_matching
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.systems.m_hood.metrics import _boxed

KIND = "sample"
COLUMNS = (*_boxed.COLUMNS, "matched", "ignored", "true_classes", "true_areas", "true_crowd")
PARAMS: dict[str, object] = {**_boxed.PARAMS, "area": "all"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, **params: Any) -> Contributions:
    """Each image adds its true boxes that are found, and all of them.

    Raises:
        ParamsError: an option out of range, or records without filters.
    """
    if params["area"] not in box_matching.AREAS:
        raise ParamsError(f"area: {params['area']!r} ({suggest(params['area'], box_matching.AREAS)})")
    place = box_matching.bit(params["area"], 0)
    images, _ = boxes_and_masks.flat(rows.table, "scores")
    matched, ignored = (boxes_and_masks.flat(rows.table, name)[1].astype(np.int64) for name in ("matched", "ignored"))
    right = (matched & ~ignored) >> place & 1
    found = boxes_and_masks.per_image(rows, images, right * _boxed.counted(rows, params))
    own, classes = boxes_and_masks.flat(rows.table, "true_classes")
    areas, crowd = (boxes_and_masks.flat(rows.table, name)[1] for name in ("true_areas", "true_crowd"))
    low, high = box_matching.AREAS[params["area"]]
    those = (classes >= 0) & ~crowd.astype(bool) & (areas >= low) & (areas <= high)
    return Contributions(rows.counting, (found, boxes_and_masks.per_image(rows, own, those.astype(np.int64))))


def finish(sums: Sums, **params: Any) -> Floats:
    """Found by all; float64 (k,), NaN without a true box."""
    return ratio(sums.sums[0], sums.sums[1])
