"""A printed table of results: labels and numbers with the digits that they were printed with."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from shiftbench.base.errors import DataError, suggest

Labels = tuple[str, ...]

_DIGITS = r"[+\-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][+-]?\d+)?|[+\-\u2212]?\.\d+"
_CELL = re.compile(rf"({_DIGITS})\s*%?(?:\s*(?:±|\+/?-|\\pm)\s*({_DIGITS})|\s*\(\s*({_DIGITS})\s*\))?")
_BLANK = {"", "-", "--", "/", "n/a", "na", "nan", "none", "null", "\u2013", "\u2014"}
_SPREAD = re.compile(r"(.*[ _.])?(spread|std|stdev|sd|sem|deviation)$", re.IGNORECASE)
_KEY = re.compile(r"seed|severity|step|run|block|epoch|fold|level|(.*[ _])?size", re.IGNORECASE)


class Number(NamedTuple):
    """A printed number.

    Attributes:
        value: what it says.
        half: half a unit of its last digit; 0 in a column of whole numbers, which are counts.
        text: its digits.
    """

    value: float
    half: float
    text: str


Column = tuple[str, "list[Number | None]"]
"""A name and the numbers of its rows."""


@dataclass(frozen=True)
class Table:
    """A table of labels and numbers.

    Attributes:
        labels: column -> text of each row. They name a row.
        numbers: column -> number of each row, None for an empty cell.
        groups: column of the file -> the columns of `numbers` which its cells hold (`73.05 ± 0.39` holds two).
        n: samples behind each share; None: not known.
    """

    labels: dict[str, list[str]]
    numbers: dict[str, list[Number | None]]
    groups: dict[str, list[str]] = field(default_factory=dict)
    n: int | None = None

    @classmethod
    def of(cls, columns: dict[str, list[str]], key: Sequence[str] = (), n: int | None = None) -> Table:
        """A table of texts, as a CSV file has them.

        Args:
            columns: name -> cells.
            key: the columns that name a row; none: those without numbers, and settings such as `seed`.
            n: samples behind each share.
        """
        labels: dict[str, list[str]] = {}
        numbers: dict[str, list[Number | None]] = {}
        groups: dict[str, list[str]] = {}
        for name, cells in columns.items():
            parsed = None if name in key or (not key and _KEY.fullmatch(name)) else _parse(name, cells)
            if parsed:
                numbers |= parsed
                groups[name] = list(parsed)
            elif name in key or not key:
                labels[name] = cells
        return cls(labels, numbers, groups, n)

    @property
    def rows(self) -> int:
        """The number of rows."""
        labels, numbers = [*self.labels.values()], [*self.numbers.values()]
        return len(labels[0]) if labels else len(numbers[0]) if numbers else 0

    def names(self, without: Iterable[str] = ()) -> list[Labels]:
        """The labels of each row, but for some columns."""
        kept = [cells for name, cells in self.labels.items() if name not in without]
        return list(zip(*kept, strict=True)) if kept else [()] * self.rows

    def values(self) -> Iterator[Column]:
        """The columns that are no spreads."""
        for name, cells in self.numbers.items():
            if not name.endswith("±") and not _SPREAD.fullmatch(name):
                yield name, cells


def read(file: Path, key: Sequence[str] = (), n: int | None = None) -> Table:
    """The table of a file: CSV, TSV, JSON lines of flat objects, or Parquet.

    Args:
        file: its suffix tells the format.
        key: as in `Table.of`.
        n: as in `Table.of`.

    Raises:
        DataError: another suffix, rows of different lengths, a name that two columns have, no rows, or no such column.
    """
    columns = _columns(file)
    if unknown := sorted(set(key) - set(columns)):
        raise DataError(f"{file} has no column {unknown[0]!r}; {suggest(unknown[0], columns)}")
    if not any(columns.values()):
        raise DataError(f"{file} has no rows; expected a header and at least one row")
    return Table.of(columns, key, n)


def _columns(file: Path) -> dict[str, list[str]]:
    """The cells of a file as text, by column."""
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected a table in CSV, TSV, JSON lines or Parquet")
    try:
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
        elif file.suffix in (".jsonl", ".ndjson"):
            frame = pl.read_ndjson(file, infer_schema_length=None)
        elif file.suffix in (".csv", ".tsv"):
            with file.open(encoding="utf-8-sig", newline="") as stream:
                return _of_lines(file, list(csv.reader(stream, delimiter="\t" if file.suffix == ".tsv" else ",")))
        else:
            raise DataError(f"{file}: expected .csv, .tsv, .jsonl or .parquet")
    except (pl.exceptions.PolarsError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is no readable table: {error}") from error
    return {name: ["" if cell is None else str(cell) for cell in frame[name]] for name in frame.columns}


def _of_lines(file: Path, lines: list[list[str]]) -> dict[str, list[str]]:
    header, *rows = [line for line in lines if line] or [[]]
    for at, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(f"{file}: row {at} has {len(row)} cells, but the header has {len(header)}")
    if len(set(header)) < len(header):
        raise DataError(f"{file}: {next(n for n in header if header.count(n) > 1)!r} names two columns")
    return {name: [row[at] for row in rows] for at, name in enumerate(header)}


def _parse(name: str, cells: Sequence[str]) -> dict[str, list[Number | None]] | None:
    """The numbers of a column, by the parts of its cells; None if it has text."""
    split = [None if cell.strip().casefold() in _BLANK else [p.strip() for p in cell.split("/")] for cell in cells]
    present = [parts for parts in split if parts is not None]
    if not present or len({len(parts) for parts in present}) != 1:
        return None
    columns: dict[str, list[Number | None]] = {}
    for at in range(len(present[0])):
        part = name if len(present[0]) == 1 else f"{name} [{at + 1}]"
        matched = [parts and _CELL.fullmatch(parts[at]) for parts in split]
        if any(parts is not None and match is None for parts, match in zip(split, matched, strict=True)):
            return None
        columns[part] = _numbers([match[1] if match else None for match in matched])
        spreads = [(match[2] or match[3]) if match else None for match in matched]
        if any(spreads):
            columns[f"{part} ±"] = _numbers(spreads)
    return columns


def _numbers(texts: Sequence[str | None]) -> list[Number | None]:
    plain = [text and text.replace(",", "").replace("\u2212", "-") for text in texts]
    whole = all("." not in text and "e" not in text.casefold() for text in plain if text)
    return [Number(float(text), 0.0 if whole else _half(text), text) if text else None for text in plain]


def _half(text: str) -> float:
    """Half a unit of the last digit.

    Example:
        >>> _half("52.10"), _half("-1.5e-3")
        (0.005, 5e-05)
    """
    digits, _, power = text.casefold().partition("e")
    return 0.5 * 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
