"""Columns of lists in the records of images, such as those of boxes and of persons; helper of metrics."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.statistics.rows import Ints, Rows


def flat(table: pa.Table, name: str) -> tuple[Ints, NDArray[Any]]:
    """Return the row of each element of a column of lists, and the elements; rows without a list have none."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no rows
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    sizes = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.repeat(np.arange(len(sizes)), sizes), column.flatten().to_numpy(zero_copy_only=False)


def per_image(rows: Rows, images: Ints, amounts: Ints) -> Ints:
    """Return the sum of amounts over the elements of each row that counts, int64 (n,)."""
    total = np.zeros(len(rows), dtype=np.int64)
    np.add.at(total, images, amounts)
    return total * rows.counting
