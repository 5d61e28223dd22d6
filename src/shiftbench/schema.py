"""Formats between the stages, declared once: each column's name, type, unit, range and meaning.

Writers and readers both go through here. A file is Parquet with zstd; its rows are sorted by the
format's key, its metadata holds the format's name, the version and the recipe's fingerprint and
nothing else, so that equal content is equal bytes (under one pyarrow version). `document()` is
docs/formats.md.

Fixed point: a column whose name ends in `_e9` holds billionths as int64. Quantities that need exp or log
are rounded once, when records are written; everything behind only compares, counts and adds
integers, which gives the same result in any order, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shiftbench import plugins
from shiftbench.errors import DuplicateKeyError, RangeError, SchemaError, near

VERSION = 1
E9 = 1_000_000_000
NLL_LIMIT = 1 << 49  # 562,949 nats: keeps every sum of one block of weighted samples below 2**53
TOP = 20
_NAME, _VERSION, _FINGERPRINT = b"shiftbench.format", b"shiftbench.version", b"shiftbench.fingerprint"
_ROW_GROUP = 1 << 17


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, type, unit, what it means, its closed range, and whether it may be null."""

    name: str
    dtype: pa.DataType
    unit: str
    meaning: str
    low: float | None = None
    high: float | None = None
    nullable: bool = False

    @property
    def range(self) -> str:
        """The range as text: `[0, 1]`, `>= 0`, or empty."""
        if self.low is None:
            return ""
        return f">= {self.low:g}" if self.high is None else f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class Format:
    """A table between two stages; `key` sorts its rows and is unique."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The pyarrow schema; its metadata names the format."""
        return pa.schema([(column.name, column.dtype) for column in self.columns], metadata={_NAME: self.name})

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """Return one column's declaration."""
        return self.columns[self.names.index(name)]


_KEY = Column("key", pa.string(), "", "the sample's key")

_CLASSIFIED = (
    _KEY,
    Column("label", pa.int32(), "class", "true class as an index into the model's classes; -1: not among them", -1),
    Column("prediction", pa.int32(), "class", "most probable class (the lowest of equals) as an index into the model's classes", 0),
    Column("correct", pa.bool_(), "", "prediction is label; null where label is -1", nullable=True),
    Column("confidence_e9", pa.int64(), "1e-9", "probability of the prediction", 0, E9),
    Column("nll_e9", pa.int64(), "1e-9 nat", "-log probability of the label; null where label is -1", 0, NLL_LIMIT, nullable=True),
    Column("brier_e9", pa.int64(), "1e-9", "sum over classes of (probability - [class is label])^2; null where label is -1", 0, 2 * E9, nullable=True),
    Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
    Column("cluster", pa.string(), "", "what is resampled together; null: the sample itself", nullable=True),
)  # fmt: skip

RECORDS_FULL = Format(
    "records/classification/full",
    "One row per sample of an evaluation cell; all logits. The probabilities behind confidence, nll and "
    "brier are a softmax over the classes that the dataset has (see `tasks`), the logits are the model's.",
    ("key",),
    (*_CLASSIFIED, Column("logits", pa.list_(pa.float32()), "", "the model's logits, in the order of its classes")),
)

RECORDS_TOP20 = Format(
    "records/classification/top20",
    f"As full, with the {TOP} largest logits instead of all, for models of many classes.",
    ("key",),
    (
        *_CLASSIFIED,
        Column("logsumexp", pa.float64(), "", "log of the sum of exp(logit) over all classes of the model"),
        Column("label_logit", pa.float32(), "", "logit of the label; null where label is -1", nullable=True),
        Column("top_classes", pa.list_(pa.int32()), "class", "classes of the largest logits, largest first"),
        Column("top_logits", pa.list_(pa.float32()), "", "their logits"),
    ),
)

SCORES = Format(
    "scores",
    "OOD scores of one record file under one detector.",
    ("key",),
    (_KEY, Column("score", pa.float64(), "detector's", "higher = more out-of-distribution")),
)

INDEX = Format(
    "index",
    "Where each sample lies in a folder of shards.",
    ("key",),
    (
        _KEY,
        Column("tar", pa.string(), "", "name of the tar"),
        Column("offset", pa.int64(), "byte", "where the sample's first header begins", 0),
        Column("size", pa.int64(), "byte", "length of its members, headers and padding included", 0),
        Column("sha256", pa.string(), "hex", "sha256 of these bytes"),
        Column("pixels", pa.string(), "hex", "digest of the decoded payload, independent of the codec"),
    ),
)

LOG = Format(
    "log",
    "What a trainer reported.",
    ("step", "name"),
    (
        Column("step", pa.int64(), "", "optimizer step or epoch, as the trainer counts", 0),
        Column("name", pa.string(), "", "quantity"),
        Column("value", pa.float64(), "quantity's", "its value"),
    ),
)

_CELL = (
    Column("campaign", pa.string(), "", "name of the campaign in params.yaml"),
    Column("task", pa.string(), "", "kind of task"),
    Column("weights", pa.string(), "", "trained instance; without `-sN`: the mean over its training seeds"),
    Column("method", pa.string(), "", "what goes around the weights at test time"),
    Column("detector", pa.string(), "", "OOD detector, of detection metrics", nullable=True),
    Column("dataset", pa.string(), "", "dataset"),
    Column("split", pa.string(), "", "its split"),
    Column("reference", pa.string(), "", "clean partner or ID set that the row is relative to: dataset/split/shift/severity", nullable=True),
    Column("shift", pa.string(), "", "shift; null: all that the metric names", nullable=True),
    Column("severity", pa.float64(), "", "severity; null: the whole curve", 0, nullable=True),
    Column("group", pa.string(), "", "subgroup; null: all samples", nullable=True),
    Column("step", pa.int32(), "", "position in a stream; null: not part of one", 0, nullable=True),
    Column("metric", pa.string(), "", "metric as params.yaml names it"),
)  # fmt: skip

METRICS = Format(
    "metrics",
    "One row per metric of a cell, a curve or a mean over seeds.",
    tuple(column.name for column in _CELL),
    (
        *_CELL,
        Column("value", pa.float64(), "metric's", "value on the samples as they are; null: not defined", nullable=True),
        Column("ci_low", pa.float64(), "metric's", "lower end of the 95% percentile interval of the replicates; null: fewer than 2 samples or replicates", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("n", pa.int64(), "sample", "samples that count", 0),
        Column("seed", pa.int32(), "", "training seed; null: weights without one, or the mean over seeds", 0, nullable=True),
        Column("unit", pa.string(), "", "what is resampled: `key` (the sample) or `cluster`"),
    ),
)  # fmt: skip

REPLICATES = Format(
    "replicates",
    "The value of each metric row under each bootstrap draw. Draw i is the same resampling of the units in "
    "every row, so arithmetic on the lists of two rows is paired.",
    METRICS.key,
    (*_CELL, Column("draws", pa.list_(pa.float64()), "metric's", "one value per draw; null inside: not defined in that draw")),
)

DIFFERENCES = Format(
    "differences",
    "Paired differences between two weights on the samples that both were evaluated on.",
    (*(name for name in METRICS.key if name != "weights"), "weights_a", "weights_b"),
    (
        *(column for column in _CELL if column.name != "weights"),
        Column("weights_a", pa.string(), "", "first weights"),
        Column("weights_b", pa.string(), "", "second weights"),
        Column("difference", pa.float64(), "metric's", "value of a minus value of b on the shared samples", nullable=True),
        Column("ci_low", pa.float64(), "metric's", "lower end of its 95% percentile interval", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("p_value", pa.float64(), "", "two-sided, of no difference, from the replicates", 0, 1, nullable=True),
        Column("n", pa.int64(), "sample", "samples that count for both", 0),
    ),
)  # fmt: skip

FORMATS = (RECORDS_FULL, RECORDS_TOP20, SCORES, INDEX, LOG, METRICS, REPLICATES, DIFFERENCES)


def of(found: pa.Schema) -> Format:
    """Return the format that a schema's metadata names, else the declared one with the same columns.

    Raises:
        SchemaError: there is none; names the nearest.
    """
    if found.metadata and _NAME in found.metadata:
        return named(found.metadata[_NAME].decode())
    for form in FORMATS:
        if set(form.names) == set(found.names):
            return form
    closest = max(FORMATS, key=lambda form: len(set(form.names) & set(found.names)))
    differ = ", ".join(sorted(set(closest.names) ^ set(found.names)))
    raise SchemaError(f"no format has the columns {', '.join(found.names)}; {closest.name} is nearest, they differ in {differ}")


def named(name: str) -> Format:
    """Return a format by name: a declared one, or one of `FORMATS` of a task's file (`records/<task>/...`).

    Raises:
        SchemaError: there is none of that name.
    """
    kind, _, rest = name.partition("/")
    task = rest.partition("/")[0]
    own = plugins.find("tasks", task).FORMATS if kind == "records" and task in plugins.names("tasks") else ()
    for form in (*FORMATS, *own):
        if form.name == name:
            return form
    raise SchemaError(f"no format is named {name!r} ({near(name, [form.name for form in (*FORMATS, *own)])})")


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
    # Everything that decides the bytes is said here, so that another default changes nothing.
    options = {"compression": "zstd", "compression_level": 3, "version": "2.6", "data_page_version": "1.0"}
    with pq.ParquetWriter(file, form.arrow, store_schema=False, use_dictionary=True, **options) as writer:
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        writer.add_key_value_metadata({_NAME: form.name, _VERSION: str(VERSION), _FINGERPRINT: fingerprint})


def _sorted(table: pa.Table, form: Format) -> pa.Table:
    keys = [(name, "ascending") for name in form.key]
    order = pc.sort_indices(table, sort_keys=keys)  # nulls last
    return table.take(order).combine_chunks()


def _check_keys(rows: pa.Table, form: Format, file: Path) -> None:
    if len(rows) < 2:
        return
    same = None
    for name in form.key:
        column = rows.column(name).combine_chunks()
        one, two = column[:-1], column[1:]
        equal = pc.or_(pc.fill_null(pc.equal(one, two), False), pc.and_(one.is_null(), two.is_null()))  # noqa: FBT003
        same = equal if same is None else pc.and_(same, equal)
    if pc.any(same).as_py():
        row = _row(rows, form, pc.index(same, True).as_py())
        raise DuplicateKeyError(f"{file}: two rows have the key {row}; {form.name} needs unique keys")


def _check_values(rows: pa.Table, column: Column, form: Format, file: Path) -> None:
    values = rows.column(column.name)
    if values.null_count and not column.nullable:
        row = _row(rows, form, pc.index(values.is_null(), True).as_py())
        raise SchemaError(f"{file}: column {column.name!r} of row {row} is null; {form.name} needs a value")
    if column.low is None:
        return
    inside = pc.greater_equal(values, column.low)
    if column.high is not None:
        inside = pc.and_(inside, pc.less_equal(values, column.high))
    where = pc.index(inside, False).as_py()
    if where >= 0:
        found = values[where].as_py()
        raise RangeError(f"{file}: {column.name} of row {_row(rows, form, where)} is {found}; expected {column.range}")


def _row(rows: pa.Table, form: Format, at: int) -> str:
    parts = [rows.column(name)[at].as_py() for name in form.key]
    return "/".join(str(part) for part in parts if part is not None)


def check(found: pa.Schema, form: Format, file: Path) -> None:
    """Refuse columns or types that are not the declared ones.

    Raises:
        SchemaError: names the column, what was expected, what was found, and the file.
    """
    for column in form.columns:
        if column.name not in found.names:
            hint = near(column.name, found.names)
            raise SchemaError(f"{file}: column {column.name!r} of {form.name} is missing ({hint}); {_CURE}")
        dtype = found.field(column.name).type
        if not dtype.equals(column.dtype):
            raise SchemaError(f"{file}: column {column.name!r} of {form.name}: expected {column.dtype}, found {dtype}; {_CURE}")
    extra = sorted(set(found.names) - set(form.names))
    if extra:
        raise SchemaError(f"{file}: column {extra[0]!r} is not one of {form.name}; {_CURE}")


_CURE = "another version of shiftbench or another program wrote it; make it again"


def read(file: Path, columns: Sequence[str] | None = None, form: Format | None = None) -> pa.Table:
    """Read a table that `write` wrote.

    Args:
        file: a Parquet file.
        columns: which to read; default: all.
        form: what it must be; default: the format that its metadata names.

    Raises:
        SchemaError: no such format, other columns or types than declared, or one of `columns` is not there.
        FileNotFoundError: there is no such file.
    """
    with pq.ParquetFile(file) as parquet:
        form = form or _format_of(parquet, file)
        check(parquet.schema_arrow, form, file)
        for name in columns or ():
            if name not in form.names:
                raise SchemaError(f"{file}: expected a column {name!r}, found {form.name}, which has {', '.join(form.names)}")
        return parquet.read(columns=columns, use_threads=False)


def _format_of(parquet: pq.ParquetFile, file: Path) -> Format:
    facts = parquet.metadata.metadata or {}
    version = facts.get(_VERSION, b"none").decode()
    if version != str(VERSION):
        raise SchemaError(f"{file}: expected formats of version {VERSION}, found {version}; {_CURE}")
    return named(facts.get(_NAME, b"").decode())


def document() -> str:
    """Return docs/formats.md."""
    intro = (__doc__ or "").strip().split("\n\n")
    head = ["# Formats", "Generated from `src/shiftbench/schema.py`; do not edit.", *intro]
    return "\n\n".join([*head, *(_section(form) for form in FORMATS)]) + "\n"


def _section(form: Format) -> str:
    lines = ["| column | type | unit | range | null | meaning |", "| --- | --- | --- | --- | --- | --- |"]
    for column in form.columns:
        null = "yes" if column.nullable else ""
        cells = [f"`{column.name}`", str(column.dtype), column.unit, column.range, null, column.meaning]
        lines.append("| " + " | ".join(cells).replace("  ", " ") + " |")
    key = ", ".join(f"`{name}`" for name in form.key)
    return f"## {form.name}\n\n{form.meaning}\nRows are sorted by {key}, which is unique.\n\n" + "\n".join(lines)
