"""Folders of shards as they lie there: manifests, indexes and keys, read without trusting their digests.

Several checks ask for the same manifests and keys: they are read once, and again when the file has changed.
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


def stated(case: Case, ref: Ref) -> dict[str, Any]:
    """Return what the manifest of shards or sources states, complete or not; empty where it is not a JSON object.

    Args:
        case: what is audited.
        ref: of kind `shards` or `sources`, and here.

    Raises:
        OSError: there is no manifest.
    """
    return _manifest(*_version(case.root / ref.path))


def manifest(case: Case, ref: Ref) -> dict[str, Any] | None:
    """Return the manifest of a folder of shards; None: missing, damaged, without a fact that checks need, unsafe."""
    try:
        content = stated(case, ref)
    except OSError:
        return None
    whole = content.keys() >= _FACTS and isinstance(content["tars"], dict)
    return content if whole and all(map(shards.is_tar, content["tars"])) else None


def entries(case: Case, ref: Ref) -> list[Entry] | None:
    """Return the index of a folder of shards, whatever digest the manifest states of it; None as for `manifest`."""
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
    """Return the columns `key` and `pixels` of a folder's index.

    Args:
        case: what is audited.
        ref: of kind `shards`, and here.

    Raises:
        OSError, pyarrow.ArrowException: there is no index, or it cannot be read.
    """
    return _index(*_version(case.folder(ref) / shards.INDEX))


def keys(case: Case, ref: Ref) -> pa.Array:
    """Return the keys of a folder of shards, in its order; arguments and errors as of `index`."""
    return index(case, ref).column("key").combine_chunks()


def keys_of(table: Path) -> pa.Array:
    """Return the column `key` of any table.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read.
    """
    with pq.ParquetFile(table) as parquet:
        return parquet.read(["key"], use_threads=False).column("key").combine_chunks()


def repeated(column: pa.Array) -> str | None:
    """Return a value that occurs more than once, or None.

    Example:
        >>> repeated(pa.array(["a", "b", "a"])), repeated(pa.array(["a", "b"]))
        ('a', None)
    """
    if len(pc.unique(column)) == len(column):
        return None
    counts = pc.value_counts(column)
    value: str = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    return value


def missing(here: pa.Array, there: pa.Array) -> pa.Array:
    """Return what is here and not there.

    Example:
        >>> missing(pa.array(["a", "b"]), pa.array(["a"])).to_pylist()
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
    return read_object(file) or {}


@functools.lru_cache(maxsize=64)
def _index(file: Path, _mtime: int, _size: int) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        return parquet.read(["key", "pixels"], use_threads=False).combine_chunks()
