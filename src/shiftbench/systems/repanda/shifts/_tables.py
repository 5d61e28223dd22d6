"""Helper of the shifts of tables: shares as levels, the same table with another header or other cells."""

from collections.abc import Mapping, Sequence
from typing import Any

Table = dict[str, Any]
ALL = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
HALF = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
"""Shares of what a shift can touch: up to all, and up to a half."""


def with_header(table: Mapping[str, Any], header: Sequence[str]) -> Table:
    """A table with other names of its columns."""
    return {**table, "header": list(header)}


def with_cells(table: Mapping[str, Any], cells: Mapping[tuple[int, int], str]) -> Table:
    """A table with other cells at some places (row, column)."""
    rows = [list(row) for row in table["rows"]]
    for (row, column), cell in cells.items():
        rows[row][column] = cell
    return {**table, "rows": rows}
