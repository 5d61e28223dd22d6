"""What holds of every table, whatever it says: its format, its order, its keys, nulls, ranges, and no NaN.

A second look beside `schema`, which writes them: Polars instead of pyarrow, and on what lies there.
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
}
_UNDEFINED = set(TABLES) - {"roc.parquet", "risk_coverage.parquet"}
"""Tables whose numbers may be infinite: a ratio to a net without errors."""
_FINGERPRINT = b"shiftbench.fingerprint"
_METADATA = {formats.NAME, b"shiftbench.version", _FINGERPRINT}
"""Keys of the metadata that `schema.write` writes."""
Wrong = tuple[str, str, str]
"""Why, what was expected, what was found."""


def form_of(kind: str, name: str) -> Format | None:
    """Return the format of a file; None: its own metadata says which format of records it is."""
    if kind in ("tables", "claims"):
        return TABLES.get(name)
    return formats.LOG if kind == "checkpoints" else _ALONE.get(kind)


def read(file: Path, kind: str) -> tuple[pa.Table, Format]:
    """Read a table of a kind of output.

    Raises:
        SchemaError: it is not of the format that such an output has.
    """
    form = form_of(kind, file.name)
    if form is None:
        stated = (pq.read_metadata(file).metadata or {}).get(formats.NAME, b"").decode()
        form = schema.find_format(stated)
        if not stated.startswith(f"{kind}/"):
            raise SchemaError(f"{file}: expected a format of {kind}, found {stated}")
    return schema.read(file, form=form), form


def wrong(file: Path, table: pa.Table, form: Format, fingerprint: str, digest: str | None) -> Iterator[Wrong]:
    """Yield what is wrong with a table that has the right columns.

    Args:
        file: where it lies.
        table: what it holds.
        form: what it should be.
        fingerprint: of the recipe, as the receipt states it.
        digest: of its rows, likewise.
    """
    facts = pq.read_metadata(file).metadata or {}
    stated = facts.get(_FINGERPRINT, b"").decode()
    if foreign := facts.keys() - _METADATA:
        yield (
            "its metadata hold keys that no stage writes",
            spell(tuple(sorted(key.decode() for key in _METADATA))),
            spell(tuple(sorted(key.decode(errors="replace") for key in foreign))),
        )
    if stated != fingerprint:
        yield "it was written under another recipe than its receipt states", fingerprint, stated
    for name, told, true in statistics_wrong(file):
        yield f"its Parquet statistics of {name} are not those of its values", true, told
    found = row_digests.of(file)
    if found != digest:
        yield "its rows are not those that its receipt states", str(digest), found
    frame = frame_of(table)
    yield from _keys(frame, form)
    for column in form.columns:
        yield from _values(frame, column, form, finite=file.name not in _UNDEFINED)


def statistics_wrong(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield columns whose least and largest value, as readers skip rows by them, are others: name, stated, true."""
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
    """Return a table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes a frame; tells mypy
    return frame


def _keys(frame: pl.DataFrame, form: Format) -> Iterator[Wrong]:
    keys = frame.select(form.key)
    twice = keys.filter(keys.is_duplicated())
    if len(twice):
        yield f"{len(twice)} rows share their keys", "unique keys", spell(twice.row(0))
    ordered = keys.sort(form.key, nulls_last=True)
    if not keys.equals(ordered):
        at = next(i for i in range(len(keys)) if keys.row(i) != ordered.row(i))
        yield "its rows are not sorted by their keys", spell(ordered.row(at)), spell(keys.row(at))


def spell(row: tuple[object, ...]) -> str:
    """Spell a key."""
    return "/".join(str(part) for part in row if part is not None)


def _values(frame: pl.DataFrame, column: Column, form: Format, *, finite: bool) -> Iterator[Wrong]:
    values = frame[column.name]
    key = frame.select(form.key)
    if values.null_count() and not column.nullable:
        row = key.filter(values.is_null()).row(0)
        yield f"{column.name} is null", "a value", spell(row)
    bad = _not_a_number(values, finite=finite)
    if bad is not None and bad.any():
        row = key.filter(bad).row(0)
        yield (f"{column.name} is not a number or not finite in {int(bad.sum())} rows", "a number or null", spell(row))
    if column.low is None:
        return
    outside = values < column.low
    if column.high is not None:
        outside |= values > column.high
    outside = outside.fill_null(value=False)
    if outside.any():
        row, found = key.filter(outside).row(0), values.filter(outside)[0]
        yield f"{column.name} of {spell(row)} is out of range", column.range, str(found)


def _not_a_number(values: pl.Series, *, finite: bool) -> pl.Series | None:
    """Return which rows hold a float that may not be there, in lists as well."""
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
    """Return as `read`, or why it cannot be read."""
    try:
        return read(file, kind)
    except (ShiftbenchError, OSError, pa.ArrowException, UnicodeDecodeError) as error:
        return str(error)


def array_wrong(values: NDArray[Any], records: pa.Table | None) -> Iterator[dict[str, str]]:
    """Yield what is wrong with an array of one row per record, as arguments of a finding."""
    if values.dtype != np.float32 or values.ndim != 2:
        found = f"{values.dtype} {values.shape}"
        yield {"why": "it holds other numbers than expected", "expected": "float32 (n, d)", "found": found}
    elif not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values).all(axis=1)))
        yield {"why": "not all of its numbers are finite", "found": f"row {at}"}
    if records is not None and len(values) != len(records):
        why = "it has not one row per record"
        yield {"why": why, "expected": f"{len(records)} rows", "found": f"{len(values)} rows"}


def keys_wrong(table: pa.Table, expected: list[str]) -> dict[str, Any] | None:
    """Return what is wrong with the samples of a table: the first that is missing, twice there, or a stranger."""
    keys = table.column("key").to_pylist()
    if keys == expected:
        return None
    counts = {"expected": f"{len(expected)} samples", "found": f"{len(keys)} rows"}
    missing, extra = sorted(set(expected) - set(keys)), sorted(set(keys) - set(expected))
    if missing:
        return {"why": f"{len(missing)} samples have no row", "sample": missing[0], **counts}
    if extra:
        return {"why": f"{len(extra)} rows are of no such sample", "sample": extra[0], **counts}
    twice = [key for key, count in Counter(keys).items() if count > 1]
    why = f"{len(twice)} samples have several rows" if twice else "the rows are in another order"
    return {"why": why, "sample": twice[0] if twice else None, **counts}
