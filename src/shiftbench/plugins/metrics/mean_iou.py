"""Mean IoU: mean over tampered images of the overlap (IoU) of the mask that was found with the true one.

Source: Jaccard; scikit-learn `jaccard_score` of the pixels of each image, averaged. Which images count, the option
`rule`, is said in `_masks.py`; the authors' rule in So-Fake, arXiv:2505.18660, was not found.
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
    """Each tampered image adds its IoU."""
    return _masks.reduce(rows, rule, times=1)


def finish(sums: Sums, **_: object) -> Floats:
    """Return the mean, float64 (k,)."""
    return _masks.finish(sums)
