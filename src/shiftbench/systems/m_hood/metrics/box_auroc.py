"""AUROC of a filter over boxes: how often a confident box scores higher than an ID box, ties by half.

The ID boxes are those that calibrate the filter (`methods/box_filters.py`): the mean, over the boxes of these images,
of their rank among them is the AUROC against them. Draws resample the images at hand, not those of the calibration.
On ID images it should be near 0.5. Scores are never flipped.

Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", the probability that one of each
is in the right order; "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330.
"""

from typing import Any

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.plugins.metrics import boxes_and_masks
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.systems.m_hood.metrics import _boxed

KIND = "sample"
COLUMNS = (*_boxed.COLUMNS, "filter_ranks_e9")
PARAMS: dict[str, object] = {"confidence": 0.25, "filter": 1}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, **params: Any) -> Contributions:
    """Each image adds the ranks of its boxes, and their number.

    Raises:
        ParamsError: an option out of range, or no such filter.
    """
    images, _ = boxes_and_masks.flat(rows.table, "scores")
    those = _boxed.counted(rows, {**params, "filter": 0, "at_recall": False})
    ranks = _boxed.ranks(rows, params["filter"])
    return Contributions(
        rows.counting,
        tuple(boxes_and_masks.per_image(rows, images, x.astype(np.int64)) for x in (ranks * those, those)),
    )


def finish(sums: Sums, **params: Any) -> Floats:
    """Mean rank; float64 (k,), NaN without a box."""
    return ratio(sums.sums[0], E9 * sums.sums[1])
