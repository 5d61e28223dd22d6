"""PCK: share of labelled joints that are found within `within` torsos of where they are.

A torso is the longer diagonal from a shoulder to the other hip. Source: Yang and Ramanan 2013, "Articulated human
detection with flexible mixtures of parts", doi:10.1109/TPAMI.2012.261 (there by the size of the box); by the torso
in Sapp and Taskar 2013, "MODEC".
"""

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.plugins.metrics import _of_images, _people
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("errors_e9", "true_crowd")
PARAMS: dict[str, object] = {"within": 0.2}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, *, within: float) -> Contributions:
    """Each image adds its joints that are found, and all of them.

    Raises:
        ParamsError: a distance that records do not tell from a miss.
    """
    if not 0 < within < 1:
        raise ParamsError(f"pck: within is {within:g}; expected torsos, above 0 and below 1")
    images, errors = _people.values(rows, "errors_e9")
    number = _of_images.per_image(rows, images, np.ones_like(images))
    near = (errors <= round(within * E9)).astype(np.int64)
    return Contributions(np.minimum(number, 1), (_of_images.per_image(rows, images, near), number))


def finish(sums: Sums, *, within: float) -> Floats:
    """Return found by all, float64 (k,); NaN without a joint."""
    return ratio(sums.sums[0], sums.sums[1])
