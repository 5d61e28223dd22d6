"""Hallucinations: predicted boxes per image, where no class of the model is there to be found.

The count of detections on images that are out of distribution, those with a `confidence` (0.25) or more that pass a
`filter`; divided by the number of images, so that sets can be compared and a ratio of two is one of counts. Nothing
asks what a box finds: on ID images it is the number of detections. `clean: true` leaves out images that hold a true
box of the model's classes, as an audit of a benchmark with known labels would.

Source: "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330 (number of
detections left; 0.25 is the authors' code's).
"""

from typing import Any

import numpy as np

from shiftbench.plugins.metrics import boxes_and_masks
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.systems.m_hood.metrics import _boxed

KIND = "sample"
COLUMNS = (*_boxed.COLUMNS, "true_classes")
PARAMS: dict[str, object] = {**_boxed.PARAMS, "clean": False}
UNIT = "boxes per image"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows, **params: Any) -> Contributions:
    """Each image adds its boxes.

    Raises:
        ParamsError: an option out of range, or records without filters.
    """
    images, _ = boxes_and_masks.flat(rows.table, "scores")
    found = boxes_and_masks.per_image(rows, images, _boxed.counted(rows, params).astype(np.int64))
    count = rows.counting
    if params["clean"]:
        own, classes = boxes_and_masks.flat(rows.table, "true_classes")
        count = count * (boxes_and_masks.per_image(rows, own, (classes >= 0).astype(np.int64)) == 0)
    return Contributions(count, (found * count,))


def finish(sums: Sums, **params: Any) -> Floats:
    """Boxes by images; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
