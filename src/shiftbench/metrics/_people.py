"""Means over the persons, or the joints, of all images; helper of the metrics of keypoints.

Values are columns of lists in billionths, of which -1 says that there is none. Persons that do not count (crowds,
those without a labelled joint) are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows


def values(rows: Rows, column: str) -> tuple[Ints, Ints]:
    """Return the row of each value that is there and whose person counts, and the values, int64 (k,) each."""
    images, found = _flat(rows.table, column)
    persons, out = _flat(rows.table, "true_crowd")
    each = len(found) // len(persons) if len(persons) else 1
    kept = (found >= 0) & ~np.repeat(out.astype(bool), each)
    return images[kept], found[kept].astype(np.int64)


def _flat(table: pa.Table, name: str) -> tuple[Ints, NDArray[Any]]:
    """Return the row of each element of a column of lists, and the elements; rows without a list have none."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no rows
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sizes = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.repeat(np.arange(len(sizes)), sizes), column.flatten().to_numpy(zero_copy_only=False)


def per_image(rows: Rows, images: Ints, amounts: Ints) -> Ints:
    """Return the sum of amounts over each row that counts, int64 (n,)."""
    total = np.zeros(len(rows), dtype=np.int64)
    np.add.at(total, images, amounts)
    return total * rows.counting


def reduce(rows: Rows, column: str) -> Contributions:
    """Each image adds the values of its persons, and how many they are."""
    images, found = values(rows, column)
    number = per_image(rows, images, np.ones_like(images))
    return Contributions(np.minimum(number, 1), (per_image(rows, images, found), number))


def finish(sums: Sums) -> Floats:
    """Return the mean over persons, float64 (k,); NaN without one."""
    return ratio(sums.sums[0] / E9, sums.sums[1])
