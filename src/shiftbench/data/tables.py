"""Tables as payload: a header, rows of cells as in the source, and the rule that decides which cells are numbers.

A table is plain JSON: `header`, names of columns, and `rows`, each a list of as many cells, str or None where a cell is
missing; `caption` and `origin`, where it is from, are texts. Cells are kept as they were read, and typed when a query
runs: rule `TYPING` decides, since verdicts depend on it.

Rule 1: white space around a cell is dropped; a cell of MISSING is missing. A column all of whose cells that are there
are decimals, with or without commas between groups of three digits, is `integer` if none has a point or is missing,
else `number`; any other column, one without a cell too, is `text`. Percent signs, units and dates are text.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shiftbench.base.errors import DataError

Table = Mapping[str, Any]
Value = str | int | float | None
TYPING = 1
MISSING = ("", "-", "\N{EN DASH}", "\N{EM DASH}", "n/a", "N/A")
_NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_LONGEST = 15  # digits that a float holds
DELIMITER = "#"


class Column(NamedTuple):
    """A typed column: `kind` is `integer`, `number` or `text`, a missing cell None."""

    name: str
    kind: str
    values: list[Value]


def check(table: object, where: str) -> None:
    """Refuse what is no table.

    Raises:
        DataError: names what is wrong, and where.
    """
    if not isinstance(table, Mapping) or not {"header", "rows", "caption"} <= set(table):
        raise DataError(f"{where}: a table is an object with header, rows and caption")
    header, rows = table["header"], table["rows"]
    if not header or not all(isinstance(name, str) and name for name in header):
        raise DataError(f"{where}: the header is {str(header)[:80]}; expected names of columns")
    duplicate = next((name for name in header if header.count(name) > 1), None)
    if duplicate is not None:
        raise DataError(f"{where}: two columns are named {duplicate!r}")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"{where}: row {number} has {len(row)} cells, the header {len(header)}")
        if not all(cell is None or isinstance(cell, str) for cell in row):
            raise DataError(f"{where}: row {number} has a cell that is neither text nor missing")


def typed_columns(table: Table) -> list[Column]:
    """Columns with the values that rule `TYPING` gives them.

    Example:
        >>> typed_columns({"header": ["a"], "rows": [["1,200"], ["-"]], "caption": ""})
        [Column(name='a', kind='number', values=[1200.0, None])]
    """
    cells = zip(*table["rows"], strict=True) if table["rows"] else ([] for _ in table["header"])
    return [_column(name, [*column]) for name, column in zip(table["header"], cells, strict=True)]


def _column(name: str, cells: Sequence[str | None]) -> Column:
    stripped = [_strip(cell) for cell in cells]
    present = [cell for cell in stripped if cell is not None]
    if not present or not all(_NUMBER.fullmatch(cell) for cell in present):
        return Column(name, "text", list(stripped))
    is_integer = len(present) == len(cells) and all(_is_whole(cell) for cell in present)
    values: list[Value] = [None if cell is None else number(cell, whole=is_integer) for cell in stripped]
    return Column(name, "integer" if is_integer else "number", values)


def _strip(cell: str | None) -> str | None:
    text = (cell or "").strip()
    return None if text in MISSING else text


def _is_whole(cell: str) -> bool:
    return "." not in cell and sum(letter.isdigit() for letter in cell) <= _LONGEST


def number(cell: str, *, whole: bool = False) -> int | float:
    """Number in a cell.

    Raises:
        ValueError: it is no number.
    """
    plain = cell.strip().replace(",", "").replace("\N{MINUS SIGN}", "-")
    return int(plain) if whole else float(plain)


def digest(table: Table) -> str:
    """A digest of names and cells, whatever their case and white space: equal tables, equal digests."""
    lines = [table["header"], *table["rows"]]
    cells = [[" ".join((cell or "").split()).casefold() for cell in line] for line in lines]
    return hashlib.blake2b(json.dumps(cells).encode(), digest_size=16).hexdigest()


def as_text(table: Table) -> str:
    """Header and rows a line each, cells joined by `#`, as TabFact's files are."""
    lines = [table["header"], *table["rows"]]
    return "\n".join(DELIMITER.join(_cell(cell) for cell in line) for line in lines)


def _cell(cell: str | None) -> str:
    return " ".join((cell or "").replace(DELIMITER, " ").split())
