"""What several checks read of shards and tables without reading a sample: manifests, keys, pixel digests."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shiftbench.audit._case import Case
from shiftbench.data.shards import INDEX
from shiftbench.refs import Ref


def manifest(case: Case, ref: Ref) -> dict[str, Any]:
    """Return the manifest of shards or sources; empty where it is not a JSON object.

    Args:
        case: what is audited.
        ref: of kind `shards` or `sources`, and here.
    """
    return _manifest(*_version(case.root / ref.path))


def index(case: Case, ref: Ref) -> pa.Table:
    """Return keys and pixel digests of a folder of shards that several checks ask for.

    Args:
        case: what is audited.
        ref: of kind `shards`, and here.

    Raises:
        OSError, pyarrow.ArrowException: there is no index, or it cannot be read.
    """
    return _index(*_version(case.folder(ref) / INDEX))


def keys(file: Path) -> pa.Array:
    """Return the column `key` of a table.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read.
    """
    with pq.ParquetFile(file) as parquet:
        return parquet.read(["key"], use_threads=False).column("key").combine_chunks()


def twice(column: pa.Array) -> str | None:
    """Return a value that occurs more than once, or None.

    Example:
        >>> twice(pa.array(["a", "b", "a"])), twice(pa.array(["a", "b"]))
        ('a', None)
    """
    if len(pc.unique(column)) == len(column):
        return None
    counts = pc.value_counts(column)
    found: str = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    return found


def lacking(here: pa.Array, there: pa.Array) -> pa.Array:
    """Return what is here and not there.

    Example:
        >>> lacking(pa.array(["a", "b"]), pa.array(["a"])).to_pylist()
        ['b']
    """
    return here.filter(pc.invert(pc.is_in(here, value_set=there)))


def shared(one: pa.Array, two: pa.Array) -> pa.Array:
    """Return the values of `two` that `one` also has.

    Example:
        >>> shared(pa.array(["a", "b"]), pa.array(["b", "c"])).to_pylist()
        ['b']
    """
    return two.filter(pc.is_in(two, value_set=one))


def _version(file: Path) -> tuple[Path, int, int]:
    """Return a file with what tells that it is still the same one."""
    stat = file.stat()
    return file, stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=10_000)
def _manifest(file: Path, _mtime: int, _size: int) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


@functools.lru_cache(maxsize=64)
def _index(file: Path, _mtime: int, _size: int) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        return parquet.read(["key", "pixels"], use_threads=False).combine_chunks()
