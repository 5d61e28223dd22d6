"""Pixel F1: mean over tampered images of the F1 of the pixels that were called tampered.

Source: scikit-learn `f1_score` of the pixels of each image, averaged. Over the pixels of all images together it would
be 2 IoU / (1 + IoU) of theirs; the pairs that So-Fake reports (arXiv:2505.18660) lie below that, as means over images
do. Which images count, the option `rule`, is said in `_masks.py`.
"""

from shiftbench.plugins.metrics import _masks
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = _masks.COLUMNS
PARAMS: dict[str, object] = {"rule": "all"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, rule: str) -> Contributions:
    """Each tampered image adds its F1."""
    return _masks.reduce(rows, rule, times=2)


def finish(sums: Sums, **_: object) -> Floats:
    """Return the mean, float64 (k,)."""
    return _masks.finish(sums)
