"""Checks of any table: format, order, keys, nulls, ranges and NaN.

`schema` checks the same when it writes tables. This second implementation, in Polars instead of pyarrow, also reads
tables that `schema` did not write, and finds errors of `schema`.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shiftbench.base.errors import SchemaError, ShiftbenchError
from shiftbench.data import claim_formats, formats, row_digests, schema
from shiftbench.data.formats import Column, Format
from shiftbench.statistics.failure_prediction import RISK_COVERAGE
from shiftbench.statistics.reliability import RELIABILITY
from shiftbench.statistics.score_curves import ROC
from shiftbench.statistics.search_tables import SEARCHED

TABLES = {  # files of a folder of tables, or of claims
    "metrics.parquet": formats.METRICS,
    "replicates.parquet": formats.REPLICATES,
    "differences.parquet": formats.DIFFERENCES,
    "comparisons.parquet": formats.COMPARISONS,
    "risk_coverage.parquet": RISK_COVERAGE,
    "roc.parquet": ROC,
    "reliability.parquet": RELIABILITY,
    "searches.parquet": SEARCHED,
    "claims.parquet": claim_formats.CLAIMS,
    "claim_replicates.parquet": claim_formats.CLAIM_REPLICATES,
    "measured.parquet": claim_formats.MEASURED,
    "figures.parquet": claim_formats.FIGURES,
}
_ALONE = {
    "scores": formats.SCORES,
    "searches": formats.SEARCHES,
    "overlaps": formats.OVERLAPS,
    "analyses": formats.OBSERVATIONS,
    "checkpoints": formats.LOG,
    "released": formats.RELEASED,
}
_UNDEFINED = set(TABLES) - {"roc.parquet", "risk_coverage.parquet"}
"""Tables whose numbers may be infinite, such as a ratio to a model without errors."""
_FINGERPRINT = b"shiftbench.fingerprint"
_METADATA = {formats.NAME, b"shiftbench.version", _FINGERPRINT}
"""Keys of the metadata that `schema.write` writes."""
Flaw = tuple[str, str, str]
"""Reason, expected value, actual value."""


def read(file: Path, kind: str) -> tuple[pa.Table, Format]:
    """Read a table of a kind of output; another format than that of such an output is a SchemaError."""
    form = TABLES.get(file.name) if kind in ("tables", "claims") else _ALONE.get(kind)
    if form is None:  # its own metadata name its format of records
        stated = (pq.read_metadata(file).metadata or {}).get(formats.NAME, b"").decode()
        form = schema.find_format(stated)
        if not stated.startswith(f"{kind}/"):
            raise SchemaError(f"{file}: expected a format of {kind}, found {stated}")
    return schema.read(file, form=form), form


def flaws(file: Path, table: pa.Table, form: Format, fingerprint: str, digest: str | None) -> Iterator[Flaw]:
    """Yield the flaws of a table that has the correct columns.

    Fingerprint and digest are those of the recipe and of the rows, as the receipt states them.
    """
    facts = pq.read_metadata(file).metadata or {}
    stated = facts.get(_FINGERPRINT, b"").decode()
    if foreign := facts.keys() - _METADATA:
        yield (
            "its metadata have keys that no stage writes",
            spell(tuple(sorted(key.decode() for key in _METADATA))),
            spell(tuple(sorted(key.decode(errors="replace") for key in foreign))),
        )
    if stated != fingerprint:
        yield "it was written under another recipe than its receipt states", fingerprint, stated
    for name, stated_range, actual_range in statistics_flaws(file):
        yield f"its Parquet statistics of {name} are not those of its values", actual_range, stated_range
    rows_digest = row_digests.of(file)
    if rows_digest != digest:
        yield "its rows are not those that its receipt states", str(digest), rows_digest
    frame = frame_of(table)
    yield from _keys(frame, form)
    for column in form.columns:
        yield from _values(frame, column, form, finite=file.name not in _UNDEFINED)


def statistics_flaws(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield columns whose Parquet statistics, by which readers skip rows, are wrong: name, stated, actual."""
    with pq.ParquetFile(file) as parquet:
        for number in range(parquet.num_row_groups):
            group, table = parquet.metadata.row_group(number), parquet.read_row_group(number)
            for at in range(group.num_columns):
                column = group.column(at)
                name, stated = column.path_in_schema, column.statistics
                if stated is None or name not in table.column_names:
                    continue  # a list: none of its numbers are looked up by readers
                true = pc.min_max(table[name]).as_py()
                wrong = stated.has_min_max and not (stated.min <= true["min"] and stated.max >= true["max"])
                tight = stated.has_min_max and (stated.min, stated.max) == (true["min"], true["max"])
                nulls = stated.has_null_count and stated.null_count != table[name].null_count
                if nulls or wrong or not (tight or not stated.has_min_max or isinstance(true["min"], str)):
                    yield name, f"{stated.min} to {stated.max}, {stated.null_count} null", f"{true}"


def frame_of(table: pa.Table) -> pl.DataFrame:
    """A table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes a frame; tells mypy
    return frame


def _keys(frame: pl.DataFrame, form: Format) -> Iterator[Flaw]:
    keys = frame.select(form.key)
    twice = keys.filter(keys.is_duplicated())
    if len(twice):
        yield f"{len(twice)} rows share their keys", "unique keys", spell(twice.row(0))
    ordered = keys.sort(form.key, nulls_last=True)
    if not keys.equals(ordered):
        at = next(i for i in range(len(keys)) if keys.row(i) != ordered.row(i))
        yield "its rows are not sorted by their keys", spell(ordered.row(at)), spell(keys.row(at))


def spell(row: tuple[object, ...]) -> str:
    """A key in words."""
    return "/".join(str(part) for part in row if part is not None)


def _values(frame: pl.DataFrame, column: Column, form: Format, *, finite: bool) -> Iterator[Flaw]:
    values = frame[column.name]
    key = frame.select(form.key)
    if values.null_count() and not column.nullable:
        row = key.filter(values.is_null()).row(0)
        yield f"{column.name} is null", "a value", spell(row)
    is_bad = _not_a_number(values, finite=finite)
    if is_bad is not None and is_bad.any():
        row = key.filter(is_bad).row(0)
        why = f"{column.name} is not a number or not finite in {int(is_bad.sum())} rows"
        yield why, "a number or null", spell(row)
    if column.low is None:
        return
    is_outside = values < column.low
    if column.high is not None:
        is_outside |= values > column.high
    is_outside = is_outside.fill_null(value=False)
    if is_outside.any():
        row, value = key.filter(is_outside).row(0), values.filter(is_outside)[0]
        yield f"{column.name} of {spell(row)} is out of range", column.range, str(value)


def _not_a_number(values: pl.Series, *, finite: bool) -> pl.Series | None:
    """Rows with a forbidden float, also in lists; None: there are none."""
    if isinstance(values.dtype, pl.List) and values.dtype.inner.is_float():
        flat = values.explode()
        bad = (~flat.is_finite() if finite else flat.is_nan()).fill_null(value=False)
        if not bad.any():
            return None
        return values.list.eval(~pl.element().is_finite() if finite else pl.element().is_nan()).list.any()
    if not values.dtype.is_float():
        return None
    return (~values.is_finite() if finite else values.is_nan()).fill_null(value=False)


def safe_read(file: Path, kind: str) -> tuple[pa.Table, Format] | str:
    """As `read`, or the reason why a file cannot be read."""
    try:
        return read(file, kind)
    except (ShiftbenchError, OSError, pa.ArrowException, UnicodeDecodeError) as error:
        return str(error)


def readable(file: Path, kind: str) -> pa.Table | None:
    """A table of a kind of output; None: it cannot be read, which is a finding of the check `rows`."""
    content = safe_read(file, kind)
    return None if isinstance(content, str) else content[0]


def array_flaws(values: NDArray[Any], records: pa.Table | None) -> Iterator[dict[str, str]]:
    """Yield the flaws of an array of one row per record, as arguments of a finding."""
    if values.dtype != np.float32 or values.ndim != 2:
        actual = f"{values.dtype} {values.shape}"
        yield {"why": "it has other numbers than expected", "expected": "float32 (n, d)", "found": actual}
    elif not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values).all(axis=1)))
        yield {"why": "not all of its numbers are finite", "found": f"row {at}"}
    if records is not None and len(values) != len(records):
        why = "it does not have one row per record"
        yield {"why": why, "expected": f"{len(records)} rows", "found": f"{len(values)} rows"}


def key_flaw(table: pa.Table, expected: list[str]) -> dict[str, Any] | None:
    """First missing, repeated or unknown sample of a table, as arguments of a finding; None: all are correct."""
    keys = table.column("key").to_pylist()
    if keys == expected:
        return None
    counts = {"expected": f"{len(expected)} samples", "found": f"{len(keys)} rows"}
    missing, extra = sorted(set(expected) - set(keys)), sorted(set(keys) - set(expected))
    if missing:
        return {"why": f"{len(missing)} samples have no row", "sample": missing[0], **counts}
    if extra:
        return {"why": f"{len(extra)} rows have no such sample", "sample": extra[0], **counts}
    twice = [key for key, count in Counter(keys).items() if count > 1]
    why = f"{len(twice)} samples have several rows" if twice else "the rows are in another order"
    return {"why": why, "sample": twice[0] if twice else None, **counts}
