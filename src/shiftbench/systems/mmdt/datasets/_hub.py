"""Parquet files of a hub's data set, read row by row: `FOLDER/CONFIG/SPLIT-00000-of-00001.parquet`.

Source: the layout that the library `datasets` writes and AI-secure/MMDT at 68be1c8 loads (`load_dataset("AI-
Secure/MMDecodingTrust-I2T",
"ood", split=...)`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from shiftbench.errors import DataError, ParamsError

AT_ONCE = 16
"""Rows that are in memory together."""
NATIVE = ("test",)
LICENCE, CITATION = (
    "not stated on the hub; the repository is CC BY 4.0",
    "Xu, Zhang, Chen, et al., MMDT, ICLR 2025, arXiv:2503.14827",
)


def folder(path: str, config: str) -> str:
    """Return where the files of a configuration lie."""
    return str(Path(path).expanduser() / config)


def rows(path: str, config: str, split: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a split in the files' order.

    Raises:
        ParamsError: no path is given.
        DataError: there is no file, or a column is missing.
    """
    if not path:
        raise ParamsError(f"option path is missing; name the folder of {config}/{split}-*.parquet")
    place = Path(folder(path, config))
    files = sorted(place.glob(f"{split}-*.parquet"))
    if not files:
        raise DataError(f"{place} has no file {split}-*.parquet")
    for file in files:
        opened = pq.ParquetFile(file)
        lacking = sorted(set(columns) - set(opened.schema_arrow.names))
        if lacking:
            raise DataError(f"{file} has no column {lacking[0]!r}; expected {', '.join(columns)}")
        for batch in opened.iter_batches(AT_ONCE, columns=list(columns)):
            yield from batch.to_pylist()


def picture(value: Any, where: str) -> NDArray[np.uint8]:
    """Return an image column's value, `{"bytes": ..., "path": ...}`, as uint8 (h, w, 3).

    Raises:
        DataError: it holds no picture.
    """
    try:
        with Image.open(io.BytesIO(value["bytes"])) as opened:
            return np.array(opened.convert("RGB"))
    except (KeyError, TypeError, OSError) as error:
        raise DataError(f"{where}: column image holds no picture ({error})") from error
