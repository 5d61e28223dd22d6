"""Means over the persons, or the joints, of all images; helper of the metrics of keypoints.

Values are columns of lists in billionths, of which -1 says that there is none. Persons that do not count (crowds,
those without a labelled joint) are left out.
"""

from __future__ import annotations

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.metrics._of_images import flat, per_image
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows


def values(rows: Rows, column: str) -> tuple[Ints, Ints]:
    """Return the row of each value that is there and whose person counts, and the values, int64 (k,) each."""
    images, found = flat(rows.table, column)
    persons, out = flat(rows.table, "true_crowd")
    each = len(found) // len(persons) if len(persons) else 1
    kept = (found >= 0) & ~np.repeat(out.astype(bool), each)
    return images[kept], found[kept].astype(np.int64)


def reduce(rows: Rows, column: str) -> Contributions:
    """Each image adds the values of its persons, and how many they are."""
    images, found = values(rows, column)
    number = per_image(rows, images, np.ones_like(images))
    return Contributions(np.minimum(number, 1), (per_image(rows, images, found), number))


def finish(sums: Sums) -> Floats:
    """Return the mean over persons, float64 (k,); NaN without one."""
    return ratio(sums.sums[0] / E9, sums.sums[1])
