"""FPR of a filter: share of confident boxes that pass the threshold which lets 95% of ID boxes pass.

On images out of distribution it is FPR95, with ID positive, over detections; on ID images the same number says how
many pass there, and should be near 0.95. The threshold is set on images of its own (`methods/box_filters.py`), not
on those that are tested, and scores are never flipped. Images are resampled, not boxes.

Source: "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330 (the authors' scripts
take the nearest vertex of the ROC curve of the tested boxes, and flip scores with an AUROC below 0.5).
"""

from typing import Any

import numpy as np

from shiftbench.plugins.metrics import boxes_and_masks
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.systems.m_hood.metrics import _boxed

KIND = "sample"
COLUMNS = _boxed.COLUMNS
PARAMS: dict[str, object] = {"confidence": 0.25, "filter": 1}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows, **params: Any) -> Contributions:
    """Each image adds its boxes that pass, and all of them.

    Raises:
        ParamsError: an option out of range, or records without filters.
    """
    images, _ = boxes_and_masks.flat(rows.table, "scores")
    passed, confident = (
        _boxed.counted(rows, {**params, "filter": number, "at_recall": False}) for number in (params["filter"], 0)
    )
    return Contributions(
        rows.counting, tuple(boxes_and_masks.per_image(rows, images, x.astype(np.int64)) for x in (passed, confident))
    )


def finish(sums: Sums, **params: Any) -> Floats:
    """Passed by all; float64 (k,), NaN without a box."""
    return ratio(sums.sums[0], sums.sums[1])
