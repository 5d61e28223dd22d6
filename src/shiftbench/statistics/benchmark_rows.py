"""From the files of a benchmark's cells to metric rows: reading, matching by key, summing."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shiftbench.base.errors import DuplicateKeyError
from shiftbench.base.refs import number, without_seed
from shiftbench.data import schema
from shiftbench.statistics import bootstrap
from shiftbench.statistics.contributions import Contributions, Sums, weighted
from shiftbench.statistics.rows import Floats, Row, Rows, SeverityPath

# 28 cells of accuracy, NLL, Brier score and ECE are one product of `digit_sums`.
BATCH_CELLS, BATCH_ROWS = 28, 4_000_000
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R", Rows, SeverityPath)


@dataclass(frozen=True, slots=True)
class CellRows:
    """One cell of a benchmark: who it is, and its file of records or (with a detector) of scores.

    Attributes:
        severity: None for a domain shift, which has no levels.
        reference: clean partner as dataset/split/shift/severity; None for the clean set itself.
        step: position in a stream, None outside of one.
        ood: the dataset is out-of-distribution: it has no sample metrics, and its scores are compared
            with the ID scores of the same weights, method, detector and split.
        ood_group: the group of OOD sets (near, far, ...) whose means it enters; None: no group.
        records: with a detector, the records that the scores were made from; None: not known.
    """

    benchmark: str
    task: str
    model: str
    method: str
    dataset: str
    split: str
    shift: str
    severity: float | None
    file: Path
    reference: str | None = None
    step: int | None = None
    detector: str | None = None
    ood: bool = False
    ood_group: str | None = None
    records: Path | None = None

    @property
    def position(self) -> str:
        """The cell as `reference` names it."""
        return f"{self.dataset}/{self.split}/{self.shift}/{number(self.severity or 0)}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric under the name that params gives it."""

    name: str
    module: ModuleType
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a cell: keys, what is resampled, and a number equal for equal lists; how many distinct units."""

    keys: pa.StringArray
    units: pa.StringArray
    unit: str
    number: int
    distinct: int


class Lists:
    """Interned lists of samples: cells of one dataset have the same keys, and so one matrix of weights."""

    def __init__(self) -> None:
        self._known: list[Samples] = []
        self._lock = threading.Lock()

    def intern(self, table: pa.Table, file: Path) -> Samples:
        """Return the samples of a table.

        Raises:
            DuplicateKeyError: two rows have one key.
        """
        keys = _array(table.column("key"))
        clusters = table.column("cluster").combine_chunks() if "cluster" in table.column_names else None
        own = clusters is None or clusters.null_count == len(clusters)
        units = keys if own else pc.coalesce(clusters, keys)
        with self._lock:
            for known in self._known:
                if known.keys.equals(keys) and known.units.equals(units):
                    return known
            _refuse_duplicates(keys, file)
            distinct = len(keys) if own else pc.count_distinct(units).as_py()
            found = Samples(keys, units, "key" if own else "cluster", len(self._known), distinct)
            self._known.append(found)
            return found


def _array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; one that is one already is not copied, and so equals itself at no cost."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _refuse_duplicates(keys: pa.StringArray, file: Path) -> None:
    counts = pc.value_counts(keys)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        key = min(row["values"] for row in twice.to_pylist())
        raise DuplicateKeyError(f"{file}: two rows have the key {key!r}; samples must be unique")


@dataclass(frozen=True, slots=True)
class _Part:
    """One row to be: a metric of a cell or of one of its groups, and what its samples contribute."""

    cell: int
    group: str | None
    metric: Metric
    contributions: Contributions


class BenchmarkRows:
    """A benchmark's cells, read as needed."""

    def __init__(self, cells: Sequence[CellRows], metrics: list[Metric], draws: int, seed: int) -> None:
        self.cells, self.draws, self.seed = cells, draws, seed
        self.sample = [metric for metric in metrics if metric.module.KIND == "sample"]
        self.detection = [metric for metric in metrics if metric.module.KIND == "detection"]
        self.failure = [metric for metric in metrics if metric.module.KIND == "failure"]
        self.path = [metric for metric in metrics if metric.module.KIND == "path"]
        self.resampled = [metric for metric in metrics if metric.module.KIND == "resampled"]
        self.lists = Lists()

    @property
    def products(self) -> int:
        """How many products of a weight and a value the sums of sample metrics are, about."""
        rows = sum(self._lengths[at] for at in self._wanted) if self.sample else 0
        return rows * len(self.sample) * (1 + self.draws)

    @property
    def _wanted(self) -> list[int]:
        """The cells that have sample metrics."""
        return [at for at, cell in enumerate(self.cells) if cell.detector is None and not cell.ood]

    @cached_property
    def _lengths(self) -> dict[int, int]:
        """How many rows these have."""
        return {at: pq.read_metadata(self.cells[at].file).num_rows for at in self._wanted}

    def sample_rows(self, threads: int) -> Iterator[Row]:
        """Yield the rows of sample and of resampled metrics, a batch of cells at a time."""
        if self.sample or self.resampled:
            yield from itertools.chain.from_iterable(each(self._batch, self._batches(), threads))

    def _batches(self) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for at, rows in self._lengths.items():
            if batch and (len(batch) == BATCH_CELLS or size + rows > BATCH_ROWS):
                yield batch
                batch, size = [], 0
            batch.append(at)
            size += rows
        if batch:
            yield batch

    def _batch(self, batch: list[int]) -> list[Row]:
        by_list: dict[int, tuple[Samples, list[_Part]]] = {}
        found: list[Row] = []
        for at in batch:
            samples, rows = self.read(at)
            parts = by_list.setdefault(samples.number, (samples, []))[1]
            for group, part in groups(rows):
                parts += [_Part(at, group, metric, reduce(metric, part)) for metric in self.sample]
                found += self._resampled(at, group, samples, part)
        for samples, parts in by_list.values():
            found += self._rows(samples, parts) if parts else []
        return found

    def _resampled(self, at: int, group: str | None, samples: Samples, rows: Rows) -> Iterator[Row]:
        """Yield the rows of a cell, or of one of its groups, that each draw is computed for anew."""
        for metric in self.resampled:
            values = self._compute(metric, samples, rows)
            n = int(rows.counting.sum())
            row = new_row(self.cells[at], metric.name, values, n, samples)
            basis = (samples.number, digest(rows.counting))
            yield replace(row, group=group, basis=basis, cell=at)

    def _compute(self, metric: Metric, samples: Samples, rows: Rows) -> Floats:
        """Return a resampled metric of the rows that count."""
        matrix = bootstrap.weights(samples.units, self.draws, self.seed)
        if rows.mask is not None:
            inside = rows.mask.astype(bool)
            rows, matrix = Rows(rows.table.filter(pa.array(inside))), matrix[inside]
        values: Floats = metric.module.compute(rows, matrix, **metric.params)
        return values

    def _rows(self, samples: Samples, parts: list[_Part]) -> Iterator[Row]:
        matrix = bootstrap.weights(samples.units, self.draws, self.seed)
        sums = weighted([part.contributions for part in parts], matrix)
        for part, total in zip(parts, sums, strict=True):
            yield self._row(part, total, samples)

    def _row(self, part: _Part, sums: Sums, samples: Samples) -> Row:
        values = finish(part.metric, sums)
        basis = (samples.number, digest(part.contributions.count))
        row = new_row(self.cells[part.cell], part.metric.name, values, int(sums.count[0]), samples)
        return replace(row, group=part.group, basis=basis, cell=part.cell)

    def read(self, at: int, metrics: Iterable[Metric] | None = None) -> tuple[Samples, Rows]:
        """Return the samples of a cell and the columns that metrics name (default: those of sample metrics)."""
        wanted = [*self.sample, *self.resampled] if metrics is None else metrics
        columns = {"key", "group", "cluster"}.union(*(metric.module.COLUMNS for metric in wanted))
        file = self.cells[at].file
        table = schema.read(file, sorted(columns))
        return self.lists.intern(table, file), Rows(table)

    def shared(self, metric: Metric, one: Row, two: Row) -> tuple[Floats, Floats, int]:
        """Compute two rows of one metric again, on the samples that count for both.

        Returns:
            Value and replicates of each, float64 (1 + draws,), and the number of shared samples.
        """
        sides = [self._counting(metric, row) for row in (one, two)]
        both = sides[0][0].filter(pc.is_in(sides[0][0], value_set=sides[1][0]))
        values = []
        for _, samples, rows in sides:
            inside = pc.is_in(samples.keys, value_set=both).to_numpy(zero_copy_only=False)
            part = Rows(rows.table, inside.astype(np.int64) * rows.counting)
            if metric in self.resampled:
                values.append(self._compute(metric, samples, part))
                continue
            matrix = bootstrap.weights(samples.units, self.draws, self.seed)
            values.append(finish(metric, weighted([reduce(metric, part)], matrix)[0]))
        return values[0], values[1], len(both)

    def _counting(self, metric: Metric, row: Row) -> tuple[pa.StringArray, Samples, Rows]:
        assert row.cell is not None  # noqa: S101 - callers hold rows of one cell; tells mypy
        samples, rows = self.read(row.cell)
        rows = rows if row.group is None else rows.only(row.group)
        counted = rows.counting if metric in self.resampled else reduce(metric, rows).count
        counts = counted.astype(bool)
        return samples.keys.filter(pa.array(counts)), samples, rows


def each(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """Yield a function's results in the order of the items, of several threads at once."""
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, items)


def groups(rows: R) -> Iterator[tuple[str | None, R]]:
    """Yield the whole, as group None, and each of its groups."""
    yield None, rows
    for group in rows.groups():
        yield group, rows.only(group)


def reduce(metric: Metric, rows: Rows | SeverityPath) -> Contributions:
    """Return what each sample contributes to a metric."""
    contributions: Contributions = metric.module.reduce(rows, **metric.params)
    return contributions


def finish(metric: Metric, sums: Sums) -> Floats:
    """Return a metric's value and replicates from its sums."""
    values: Floats = metric.module.finish(sums, **metric.params)
    return values


def digest(count: NDArray[np.int64]) -> str:
    """Return what tells which samples count; "" where all do."""
    return "" if count.all() else hashlib.blake2b(count.tobytes(), digest_size=16).hexdigest()


def new_row(cell: CellRows, metric: str, values: Floats, n: int, samples: Samples) -> Row:
    """Return a row of one cell, of which n samples count."""
    return Row(
        benchmark=cell.benchmark, task=cell.task, model=cell.model, method=cell.method, detector=cell.detector,
        dataset=cell.dataset, split=cell.split, reference=cell.reference, shift=cell.shift, severity=cell.severity,
        group=None, step=cell.step, metric=metric, value=float(values[0]), draws=values[1:], n=n,
        seed=without_seed(cell.model)[1], unit=samples.unit, units=min(n, samples.distinct),
    )  # fmt: skip
