"""Digests of rows, which do not depend on the encoding by Parquet; receipts have them next to the sha256 of a table."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def of(file: Path) -> str:
    """Sha256 over a table's columns and values, independent of their encoding by Parquet."""
    with pq.ParquetFile(file) as parquet:
        table = parquet.read(use_threads=False)
    hasher = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        hasher.update(f"{name}:{column.type}:{len(column)};".encode())
        _feed(hasher, column.combine_chunks())
    return hasher.hexdigest()


def _feed(hasher: Any, values: pa.Array) -> None:
    """Add an array's nulls, lengths and values to a digest, little-endian."""
    hasher.update(values.is_valid().cast(pa.uint8()).to_numpy())
    if pa.types.is_list(values.type):
        hasher.update(pc.list_value_length(values).fill_null(0).cast(pa.int64()).to_numpy())
        _feed(hasher, pc.list_flatten(values))
    elif pa.types.is_string(values.type):
        full = values.fill_null("")
        hasher.update(pc.binary_length(full).cast(pa.int64()).to_numpy())
        hasher.update("".join(full.to_pylist()).encode())
    elif pa.types.is_boolean(values.type):
        hasher.update(values.cast(pa.uint8()).fill_null(0).to_numpy())
    else:
        numbers = values.fill_null(0).to_numpy()
        hasher.update(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")))
