"""Limits on the size of a Parquet table: a file of some kilobytes can declare a table of gigabytes."""

from pathlib import Path

import pyarrow.parquet as pq

from shiftbench.base.errors import SchemaError

MOST = 4 << 30
"""Bytes that a table may take, as `provenance.table_trial` has it for tables of strangers."""
_OF_VALUE = 8


def check(parquet: pq.ParquetFile, file: Path) -> None:
    """Refuse a table that states more than may be read; texts that repeat are not counted again.

    Raises:
        SchemaError: names the file and what it states.
    """
    facts = parquet.metadata
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    columns = [group.column(at) for group in groups for at in range(group.num_columns)]
    size = max(
        sum(column.total_uncompressed_size for column in columns),
        _OF_VALUE * sum(column.num_values for column in columns),
    )
    if not 0 <= size <= MOST:
        raise SchemaError(f"{file} states a table of {size} bytes, and may have {MOST}; get it again, or remove it")
