"""Folders of shards as they lie there, read without trusting their digests; what cannot be read is None."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.audit._case import Case
from shiftbench.data import shards
from shiftbench.data.shards import Entry
from shiftbench.refs import Ref

_FACTS = {"tars", "index", "samples", "pixels", "fields", "classes", "task"}
_COLUMNS = ("key", "tar", "offset", "size", "sha256", "pixels")


def manifest(case: Case, ref: Ref) -> dict[str, Any] | None:
    """Return the manifest of a folder of shards; None: not there, damaged, or not whole."""
    try:
        content = json.loads((case.folder(ref) / shards.MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(content, dict) and content.keys() >= _FACTS
    return content if whole else None


def entries(case: Case, ref: Ref) -> list[Entry] | None:
    """Return the index of a folder of shards, whatever digest the manifest states of it; None as for `manifest`."""
    try:
        table = pq.read_table(case.folder(ref) / shards.INDEX, use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    if tuple(table.column_names) != _COLUMNS:
        return None
    columns = table.to_pydict()
    return list(map(Entry, *(columns[name] for name in _COLUMNS)))
