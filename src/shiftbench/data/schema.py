"""Tables between the stages: written and read through the formats that `formats` declares.

A file is Parquet with zstd. Its rows are sorted by the format's key; its metadata holds the format's
name, the version and the recipe's fingerprint and nothing else, so that equal content is equal bytes
(under one pyarrow version). `document()` is docs/formats.md.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shiftbench.base import registry
from shiftbench.base.errors import DuplicateKeyError, RangeError, SchemaError, suggest
from shiftbench.data import formats, parquet_limits
from shiftbench.data.formats import FORMATS, LOG, NAME, Column, Format

VERSION = 1
_VERSION, _FINGERPRINT = b"shiftbench.version", b"shiftbench.fingerprint"
_ROW_GROUP = 1 << 17
_CURE = "another version of shiftbench or another program wrote it; make it again"


def of(actual: pa.Schema) -> Format:
    """Format that a schema's metadata names, else the declared format with the same columns.

    Raises:
        SchemaError: there is no such format; names the nearest.
    """
    if actual.metadata and NAME in actual.metadata:
        return find_format(actual.metadata[NAME].decode())
    for form in FORMATS:
        if set(form.names) == set(actual.names):
            return form
    closest = max(FORMATS, key=lambda form: len(set(form.names) & set(actual.names)))
    differ = ", ".join(sorted(set(closest.names) ^ set(actual.names)))
    raise SchemaError(
        f"no format has the columns {', '.join(actual.names)}; {closest.name} is nearest, they differ in {differ}"
    )


def find_format(name: str) -> Format:
    """A format by name: a declared one, or one of `FORMATS` of a task's file (`records/<task>/...`).

    Raises:
        SchemaError: there is none of that name.
    """
    known = [*FORMATS, *_of_task(name)]
    for form in known:
        if form.name == name:
            return form
    raise SchemaError(f"no format is named {name!r} ({suggest(name, [form.name for form in known])})")


def _of_task(name: str) -> tuple[Format, ...]:
    kind, _, rest = name.partition("/")
    task = rest.partition("/")[0]
    if kind != "records" or task not in registry.names("tasks"):
        return ()
    task_formats: tuple[Format, ...] = registry.find("tasks", task).FORMATS
    return task_formats


def table(rows: Iterable[dict[str, object]], form: Format) -> pa.Table:
    """Build a table of a format from rows; a missing value is null."""
    return pa.Table.from_pylist(list(rows), schema=form.arrow)


def training_log(rows: Iterable[tuple[int, str, float]]) -> pa.Table:
    """Build the table of a training log from (step, name, value)."""
    return table(({"step": step, "name": name, "value": value} for step, name, value in rows), LOG)


def write(table: pa.Table, file: Path, fingerprint: str, form: Format | None = None) -> None:
    """Write a table, sorted by its format's key.

    Args:
        table: rows in any order.
        file: is overwritten; put it in place with a rename.
        fingerprint: of the recipe, kept in the metadata.
        form: default: see `of`.

    Raises:
        SchemaError: other columns or types than declared, or a null where none may be.
        RangeError: a value outside its column's range; names the row.
        DuplicateKeyError: two rows have one key.
    """
    form = form or of(table.schema)
    check(table.schema, form, file)
    rows = _sorted(table.select(form.names), form)
    _check_keys(rows, form, file)
    for column in form.columns:
        _check_values(rows, column, form, file)
    # All options that decide the bytes are given, so that another default changes nothing.
    options = {"compression": "zstd", "compression_level": 3, "version": "2.6", "data_page_version": "1.0"}
    with pq.ParquetWriter(file, form.arrow, store_schema=False, use_dictionary=True, **options) as writer:
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        writer.add_key_value_metadata({NAME: form.name, _VERSION: str(VERSION), _FINGERPRINT: fingerprint})


def _sorted(table: pa.Table, form: Format) -> pa.Table:
    keys = [(name, "ascending") for name in form.key]
    order = pc.sort_indices(table, sort_keys=keys)  # nulls last
    return table.take(order).combine_chunks()


def _check_keys(rows: pa.Table, form: Format, file: Path) -> None:
    if len(rows) < 2:
        return
    is_equal = None
    for name in form.key:
        column = rows.column(name).combine_chunks()
        upper, lower = column[:-1], column[1:]
        equal = pc.or_(pc.equal(upper, lower).fill_null(fill_value=False), pc.and_(upper.is_null(), lower.is_null()))
        is_equal = equal if is_equal is None else pc.and_(is_equal, equal)
    if pc.any(is_equal).as_py():
        row = _row(rows, form, pc.index(is_equal, True).as_py())
        raise DuplicateKeyError(f"{file}: two rows have the key {row}; {form.name} needs unique keys")


def _check_values(rows: pa.Table, column: Column, form: Format, file: Path) -> None:
    values = rows.column(column.name)
    if values.null_count and not column.nullable:
        row = _row(rows, form, pc.index(values.is_null(), True).as_py())
        raise SchemaError(f"{file}: column {column.name!r} of row {row} is null; {form.name} needs a value")
    if column.low is None:
        return
    is_in_range = pc.greater_equal(values, column.low)
    if column.high is not None:
        is_in_range = pc.and_(is_in_range, pc.less_equal(values, column.high))
    index = pc.index(is_in_range, False).as_py()
    if index >= 0:
        value = values[index].as_py()
        raise RangeError(f"{file}: {column.name} of row {_row(rows, form, index)} is {value}; expected {column.range}")


def _row(rows: pa.Table, form: Format, at: int) -> str:
    parts = [rows.column(name)[at].as_py() for name in form.key]
    return "/".join(str(part) for part in parts if part is not None)


def check(actual: pa.Schema, form: Format, file: Path) -> None:
    """Refuse columns or types that are not the declared ones.

    Raises:
        SchemaError: names the column, what was expected, what was found, and the file.
    """
    for column in form.columns:
        if column.name not in actual.names:
            hint = suggest(column.name, actual.names)
            raise SchemaError(f"{file}: column {column.name!r} of {form.name} is missing ({hint}); {_CURE}")
        dtype = actual.field(column.name).type
        if not dtype.equals(column.dtype):
            raise SchemaError(
                f"{file}: column {column.name!r} of {form.name}: expected {column.dtype}, found {dtype}; {_CURE}"
            )
    extra = sorted(set(actual.names) - set(form.names))
    if extra:
        raise SchemaError(f"{file}: column {extra[0]!r} is not one of {form.name}; {_CURE}")


def read(file: Path, columns: Sequence[str] | None = None, form: Format | None = None) -> pa.Table:
    """Read a table that `write` wrote.

    Args:
        file: a Parquet file.
        columns: which to read; default: all.
        form: what it must be; default: the format that its metadata names.

    Raises:
        SchemaError: no such format, other columns or types than declared, one of `columns` is not there, more than may
            be read, or no table at all.
        FileNotFoundError: there is no such file.
    """
    try:
        return _read(file, columns, form)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"{file} is no readable table: {error}; {_CURE}") from None


def _read(file: Path, columns: Sequence[str] | None, form: Format | None) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        parquet_limits.check(parquet, file)
        form = form or _format_of_file(parquet, file)
        check(parquet.schema_arrow, form, file)
        for name in columns or ():
            if name not in form.names:
                raise SchemaError(
                    f"{file}: expected a column {name!r}, found {form.name}, which has {', '.join(form.names)}"
                )
        return parquet.read(columns=columns, use_threads=False)


def _format_of_file(parquet: pq.ParquetFile, file: Path) -> Format:
    facts = parquet.metadata.metadata or {}
    version = facts.get(_VERSION, b"none").decode()
    if version != str(VERSION):
        raise SchemaError(f"{file}: expected formats of version {VERSION}, found {version}; {_CURE}")
    return find_format(facts.get(NAME, b"").decode())


def document() -> str:
    """Text of docs/formats.md."""
    head = ["# Formats", "Generated from `src/shiftbench/data/formats.py`; do not edit."]
    about = [(module or "").strip() for module in (__doc__, formats.__doc__)]
    return "\n\n".join([*head, *about, *(_section(form) for form in FORMATS)]) + "\n"


def _section(form: Format) -> str:
    lines = ["| column | type | unit | range | null | meaning |", "| --- | --- | --- | --- | --- | --- |"]
    for column in form.columns:
        null = "yes" if column.nullable else ""
        artifacts = [f"`{column.name}`", str(column.dtype), column.unit, column.range, null, column.meaning]
        lines.append("| " + " | ".join(artifacts).replace("  ", " ") + " |")
    key = ", ".join(f"`{name}`" for name in form.key)
    return f"## {form.name}\n\n{form.meaning}\nRows are sorted by {key}, which is unique.\n\n" + "\n".join(lines)
