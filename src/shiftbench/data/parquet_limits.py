"""Limits on the size of a Parquet table: a file of some kilobytes can declare a table of gigabytes."""

from pathlib import Path

import pyarrow.parquet as pq

from shiftbench.base.errors import SchemaError

LARGEST = 4 << 30
"""Bytes that a table may take, as `provenance.table_trial` has it for tables of strangers."""
_BYTES_OF_VALUE = 8


def check(parquet: pq.ParquetFile, file: Path) -> None:
    """Refuse a table that states more than may be read; texts that repeat are not counted again.

    Raises:
        SchemaError: names the file and what it states.
    """
    facts = parquet.metadata
    groups = [facts.row_group(index) for index in range(facts.num_row_groups)]
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    size = max(
        sum(column.total_uncompressed_size for column in columns),
        _BYTES_OF_VALUE * sum(column.num_values for column in columns),
    )
    if not 0 <= size <= LARGEST:
        raise SchemaError(f"{file} states a table of {size} bytes, and may have {LARGEST}; get it again, or remove it")
