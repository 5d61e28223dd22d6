"""Key columns that are read once: files of one dataset hold the same keys, in the same bytes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class KnownKeys:
    """Key columns by what they were decoded from, so that equal ones are decoded once and are one object.

    Decoding takes the pages' bytes and what the file declares of them, and nothing else; both are compared in full.
    """

    def __init__(self) -> None:
        self._known: dict[object, pa.ChunkedArray] = {}

    def read(self, file: Path) -> pa.ChunkedArray:
        """Return the column `key` of a Parquet file, in one chunk."""
        with pq.ParquetFile(file) as parquet:
            source = _source(parquet, file)
            found = self._known.get(source)
            if found is None:
                column = parquet.read(columns=["key"], use_threads=False).column("key")
                found = pa.chunked_array([column.combine_chunks()])
                found = self._known.setdefault(source, found)  # of two threads, the first one's
        return found


def _source(parquet: pq.ParquetFile, file: Path) -> object:
    """Return all that the column `key` is decoded from; what equals nothing else where that is not sure."""
    # Of other programs Arrow knows errors, one of which makes it read behind the pages.
    if not parquet.metadata.created_by.startswith("parquet-cpp-arrow version "):
        return object()
    paths = [parquet.schema.column(at).path for at in range(len(parquet.schema.names))]
    at = paths.index("key")
    facts: list[object] = [
        str(parquet.schema.column(at)),
        str(parquet.schema_arrow.field("key")),
        parquet.metadata.created_by,
    ]
    with file.open("rb") as stream:
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group)
            column = rows.column(at)
            first, dictionary = column.data_page_offset, column.dictionary_page_offset
            start = min(first, dictionary or first)
            stream.seek(start)
            pages = stream.read(column.total_compressed_size)
            facts += [rows.num_rows, column.num_values, column.compression, column.encodings]
            facts += [first - start, column.has_dictionary_page, pages]
    return tuple(facts)
