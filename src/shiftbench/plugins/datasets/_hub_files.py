"""Parquet files of a hub's data set, read row by row, and their pictures."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins.datasets import _pictures
from shiftbench.plugins.models._images import to_colour

AT_ONCE = 16
"""Rows that are in memory together."""


def files(path: str, pattern: str) -> list[Path]:
    """The files of a pattern in a folder, sorted.

    Raises:
        ParamsError: no path is given.
        DataError: there is none.
    """
    if not path:
        raise ParamsError(f"option path is missing; name the folder of {pattern}")
    paths = sorted(Path(path).expanduser().glob(pattern))
    if not paths:
        raise DataError(f"{path} has no file {pattern}")
    return paths


def rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, `columns` alone.

    Raises:
        DataError: a column is missing.
    """
    with pq.ParquetFile(file) as opened:
        lacking = sorted(set(columns) - set(opened.schema_arrow.names))
        if lacking:
            raise DataError(f"{file} has no column {lacking[0]!r}; expected {', '.join(columns)}")
        for batch in opened.iter_batches(AT_ONCE, columns=list(columns)):
            yield from batch.to_pylist()


def picture(value: Any, where: str) -> NDArray[np.uint8]:
    """A picture, uint8 (h, w, 3), from an image column's value or its bytes alone.

    Raises:
        DataError: it holds no picture.
    """
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise DataError(f"{where}: expected the bytes of a picture; got {type(value).__name__}")
    pixels: NDArray[np.uint8] = to_colour(_pictures.to_array(_pictures.open_picture(io.BytesIO(data), where)))
    return pixels
