"""Mean average precision: over classes and the ten overlaps (IoU) from 0.5 to 0.95, areas of all sizes.

Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312; pycocotools, `COCOeval` (equal to 1e-9 on the data as they
are). Options: `_precision.PARAMS`.
"""

from collections.abc import Sequence

from shiftbench.statistics import average_precision
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Weights

KIND = "resampled"
COLUMNS = average_precision.COLUMNS
PARAMS: dict[str, object] = average_precision.PARAMS
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: Weights, *, iou: float, area: str, max_dets: int, classes: Sequence[int]) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k).

    Raises:
        ParamsError: an option outside what is allowed.
    """
    return average_precision.average_precision(rows, weights, average_precision.options(iou, area, max_dets, classes))
