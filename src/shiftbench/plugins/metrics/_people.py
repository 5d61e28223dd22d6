"""The values of persons, or of their joints, in all images; helper of the metrics of keypoints.

Values are columns of lists, in billionths or truth values; -1 says that there is none. Persons that do not count
(crowds, those without a labelled joint) are left out.
"""

import numpy as np

from shiftbench.plugins.metrics._of_images import flat
from shiftbench.statistics.rows import Ints, Rows


def values(rows: Rows, column: str) -> tuple[Ints, Ints]:
    """Return the row of each value that is there and whose person counts, and the values, int64 (k,) each."""
    images, found = flat(rows.table, column)
    persons, out = flat(rows.table, "true_crowd")
    each = len(found) // len(persons) if len(persons) else 1
    kept = (found >= 0) & ~np.repeat(out.astype(bool), each)
    return images[kept], found[kept].astype(np.int64)
