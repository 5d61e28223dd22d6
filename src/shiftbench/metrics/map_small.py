"""Mean average precision of objects below 32 x 32 pixels, over the ten overlaps.

Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312; pycocotools, `COCOeval` (equal to 1e-9 on the data as they
are). Options: `_precision.PARAMS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.metrics import _precision
from shiftbench.metrics._ranked import Weights
from shiftbench.metrics._rows import Floats, Rows

KIND = "resampled"
COLUMNS = _precision.COLUMNS
PARAMS: dict[str, object] = {**_precision.PARAMS, "area": "small"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(
    rows: Rows, weights: Weights, *, iou: float, area: str, max_dets: int, classes: Sequence[int]
) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k).

    Raises:
        ParamsError: an option outside what is allowed.
    """
    return _precision.average_precision(
        rows, weights, _precision.options(iou, area, max_dets, classes)
    )
