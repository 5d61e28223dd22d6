"""Manifests, indexes and keys of folders of shards, read without trusting their digests.

`data.shards` refuses a folder at its first wrong digest; the audit reads on, and names every fault. Several checks need
the same manifests and keys: each is read once, and again if the file has changed.
"""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shiftbench.audit.case import Case
from shiftbench.base.files import read_object
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.data.shards import Entry

_FACTS = {"tars", "index", "samples", "pixels", "fields", "classes", "task"}
_COLUMNS = ("key", "tar", "offset", "size", "sha256", "pixels")


def raw_manifest(case: Case, ref: Ref) -> dict[str, Any]:
    """Manifest of shards or sources, complete or not; empty if it is no JSON object. An OSError if there is none."""
    return _manifest(*_version(case.root / ref.path))


def manifest(case: Case, ref: Ref) -> dict[str, Any] | None:
    """Manifest of a folder of shards; None: missing, damaged, incomplete, or with unsafe names of tars."""
    try:
        content = raw_manifest(case, ref)
    except OSError:
        return None
    whole = content.keys() >= _FACTS and isinstance(content["tars"], dict)
    return content if whole and all(map(shards.is_tar, content["tars"])) else None


def entries(case: Case, ref: Ref) -> list[Entry] | None:
    """Index of a folder of shards, whatever digest the manifest states of it; None as for `manifest`."""
    try:
        table = pq.read_table(case.folder(ref) / shards.INDEX, use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    if tuple(table.column_names) != _COLUMNS:
        return None
    columns = table.to_pydict()
    if not all(map(shards.is_tar, set(columns["tar"]))):
        return None
    return list(map(Entry, *(columns[name] for name in _COLUMNS)))


def index(case: Case, ref: Ref) -> pa.Table:
    """Columns `key` and `pixels` of a folder's index."""
    return _index(*_version(case.folder(ref) / shards.INDEX))


def keys(case: Case, ref: Ref) -> pa.Array:
    """Keys of a folder of shards, in its order."""
    return index(case, ref).column("key").combine_chunks()


def keys_of(table: Path) -> pa.Array:
    """Column `key` of any table."""
    with pq.ParquetFile(table) as parquet:
        return parquet.read(["key"], use_threads=False).column("key").combine_chunks()


def repeated_value(column: pa.Array) -> str | None:
    """A value that occurs more than once, or None.

    Example:
        >>> repeated_value(pa.array(["a", "b", "a"])), repeated_value(pa.array(["a", "b"]))
        ('a', None)
    """
    if len(pc.unique(column)) == len(column):
        return None
    counts = pc.value_counts(column)
    value: str = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    return value


def difference(here: pa.Array, there: pa.Array) -> pa.Array:
    """Values of `here` that `there` does not have.

    Example:
        >>> difference(pa.array(["a", "b"]), pa.array(["a"])).to_pylist()
        ['b']
    """
    return here.filter(pc.invert(pc.is_in(here, value_set=there)))


def _version(file: Path) -> tuple[Path, int, int]:
    """A file with its time and size, which change with its content."""
    stat = file.stat()
    return file, stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=10_000)
def _manifest(file: Path, _mtime: int, _size: int) -> dict[str, Any]:
    return read_object(file) or {}


@functools.lru_cache(maxsize=64)
def _index(file: Path, _mtime: int, _size: int) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        return parquet.read(["key", "pixels"], use_threads=False).combine_chunks()
