"""Metric rows from the files of a benchmark's evaluations: reading, matching by key, summing."""

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
from shiftbench.statistics.contributions import Contributions, Sums, weighted_sums
from shiftbench.statistics.rows import Floats, Row, Rows, SeverityPath

# 28 evaluations of accuracy, NLL, Brier score and ECE are one product of `digit_sums`.
BATCH_EVALUATIONS, BATCH_ROWS = 28, 4_000_000
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R", Rows, SeverityPath)


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """One evaluation of a benchmark: its identity, and its file of records or (with a detector) of scores.

    Attributes:
        severity: None for a domain shift, which has no levels.
        reference: clean partner as dataset/split/shift/severity; None for the clean set itself.
        step: position in a stream, None outside of one.
        ood: the dataset is out-of-distribution: it has no sample metrics, and its scores are compared
            with the ID scores of the same model, method, detector and split.
        ood_group: the group of OOD sets (near, far, ...) whose mean includes it; None: no group.
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
    def condition(self) -> str:
        """The condition, as `reference` names it."""
        return f"{self.dataset}/{self.split}/{self.shift}/{number(self.severity or 0)}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its name and options in params."""

    name: str
    module: ModuleType
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of an evaluation.

    Attributes:
        keys: of the samples.
        units: what is resampled: the samples' keys or clusters.
        unit: `key` or `cluster`.
        number: equal for equal lists of samples.
        distinct: number of distinct units.
    """

    keys: pa.StringArray
    units: pa.StringArray
    unit: str
    number: int
    distinct: int


class Lists:
    """Interned lists of samples: evaluations of one dataset share their keys and one matrix of bootstrap weights."""

    def __init__(self) -> None:
        self._known: list[Samples] = []
        self._lock = threading.Lock()

    def intern(self, table: pa.Table, file: Path) -> Samples:
        """Samples of a table.

        Raises:
            DuplicateKeyError: two rows have one key.
        """
        keys = _array(table.column("key"))
        clusters = table.column("cluster").combine_chunks() if "cluster" in table.column_names else None
        is_unclustered = clusters is None or clusters.null_count == len(clusters)
        units = keys if is_unclustered else pc.coalesce(clusters, keys)
        with self._lock:
            for earlier in self._known:
                if earlier.keys.equals(keys) and earlier.units.equals(units):
                    return earlier
            _refuse_duplicates(keys, file)
            distinct = len(keys) if is_unclustered else pc.count_distinct(units).as_py()
            samples = Samples(keys, units, "key" if is_unclustered else "cluster", len(self._known), distinct)
            self._known.append(samples)
            return samples


def _array(column: pa.ChunkedArray) -> pa.Array:
    """Column as one array; a column of one chunk is not copied, so that comparing it with itself costs nothing."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _refuse_duplicates(keys: pa.StringArray, file: Path) -> None:
    counts = pc.value_counts(keys)
    duplicates = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(duplicates):
        key = min(row["values"] for row in duplicates.to_pylist())
        raise DuplicateKeyError(f"{file}: two rows have the key {key!r}; samples must be unique")


@dataclass(frozen=True, slots=True)
class _Part:
    """A metric of an evaluation or of one of its groups, with the contributions of its samples."""

    evaluation: int
    group: str | None
    metric: Metric
    contributions: Contributions


class BenchmarkRows:
    """A benchmark's evaluations, read as needed."""

    def __init__(self, evaluations: Sequence[EvaluationFile], metrics: list[Metric], resamples: int, seed: int) -> None:
        self.evaluations, self.resamples, self.seed = evaluations, resamples, seed
        self.sample = [metric for metric in metrics if metric.module.KIND == "sample"]
        self.detection = [metric for metric in metrics if metric.module.KIND == "detection"]
        self.failure = [metric for metric in metrics if metric.module.KIND == "failure"]
        self.path = [metric for metric in metrics if metric.module.KIND == "path"]
        self.resampled = [metric for metric in metrics if metric.module.KIND == "resampled"]
        self.lists = Lists()

    @property
    def products(self) -> int:
        """Approximate number of products (weight times value) in the sums of sample metrics."""
        rows = sum(self._lengths[index] for index in self._sample_indices) if self.sample else 0
        return rows * len(self.sample) * (1 + self.resamples)

    @property
    def _sample_indices(self) -> list[int]:
        """Indices of the evaluations that have sample metrics."""
        return [
            index
            for index, evaluation in enumerate(self.evaluations)
            if evaluation.detector is None and not evaluation.ood
        ]

    @cached_property
    def _lengths(self) -> dict[int, int]:
        """Number of rows of each of these."""
        return {index: pq.read_metadata(self.evaluations[index].file).num_rows for index in self._sample_indices}

    def sample_rows(self, threads: int) -> Iterator[Row]:
        """Yield the rows of sample and of resampled metrics, a batch of evaluations at a time."""
        if self.sample or self.resampled:
            yield from itertools.chain.from_iterable(map_in_threads(self._batch, self._batches(), threads))

    def _batches(self) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for index, rows in self._lengths.items():
            if batch and (len(batch) == BATCH_EVALUATIONS or size + rows > BATCH_ROWS):
                yield batch
                batch, size = [], 0
            batch.append(index)
            size += rows
        if batch:
            yield batch

    def _batch(self, batch: list[int]) -> list[Row]:
        by_list: dict[int, tuple[Samples, list[_Part]]] = {}
        metric_rows: list[Row] = []
        for index in batch:
            samples, rows = self.read(index)
            parts = by_list.setdefault(samples.number, (samples, []))[1]
            for group, part in groups(rows):
                parts += [_Part(index, group, metric, reduce(metric, part)) for metric in self.sample]
                metric_rows += self._resampled(index, group, samples, part)
        for samples, parts in by_list.values():
            metric_rows += self._rows(samples, parts) if parts else []
        return metric_rows

    def _resampled(self, at: int, group: str | None, samples: Samples, rows: Rows) -> Iterator[Row]:
        """Yield the rows of an evaluation, or of one of its groups, for metrics that each resample computes again."""
        for metric in self.resampled:
            values = self._compute(metric, samples, rows)
            n = int(rows.counting.sum())
            row = new_row(self.evaluations[at], metric.name, values, n, samples)
            basis = (samples.number, digest(rows.counting))
            yield replace(row, group=group, basis=basis, evaluation=at)

    def _compute(self, metric: Metric, samples: Samples, rows: Rows) -> Floats:
        """A resampled metric of the rows that count."""
        matrix = bootstrap.weights(samples.units, self.resamples, self.seed)
        if rows.mask is not None:
            inside = rows.mask.astype(bool)
            rows, matrix = Rows(rows.table.filter(pa.array(inside))), matrix[inside]
        values: Floats = metric.module.compute(rows, matrix, **metric.params)
        return values

    def _rows(self, samples: Samples, parts: list[_Part]) -> Iterator[Row]:
        matrix = bootstrap.weights(samples.units, self.resamples, self.seed)
        sums = weighted_sums([part.contributions for part in parts], matrix)
        for part, total in zip(parts, sums, strict=True):
            yield self._row(part, total, samples)

    def _row(self, part: _Part, sums: Sums, samples: Samples) -> Row:
        values = finish(part.metric, sums)
        basis = (samples.number, digest(part.contributions.count))
        row = new_row(self.evaluations[part.evaluation], part.metric.name, values, int(sums.count[0]), samples)
        return replace(row, group=part.group, basis=basis, evaluation=part.evaluation)

    def read(self, at: int, metrics: Iterable[Metric] | None = None) -> tuple[Samples, Rows]:
        """Samples of an evaluation, and the columns that metrics name (default: those of sample metrics)."""
        readers = [*self.sample, *self.resampled] if metrics is None else metrics
        columns = {"key", "group", "cluster"}.union(*(metric.module.COLUMNS for metric in readers))
        file = self.evaluations[at].file
        if "logits" in columns and "logits" not in pq.read_schema(file).names:
            columns = columns - {"logits"} | {"top_classes"}  # records of many classes have the largest logits
        table = schema.read(file, sorted(columns))
        return self.lists.intern(table, file), Rows(table)

    def shared(self, metric: Metric, one: Row, two: Row) -> tuple[Floats, Floats, int]:
        """Compute two rows of one metric again, on the samples that count for both.

        Returns:
            Value and replicates of each, float64 (1 + resamples,), and the number of shared samples.
        """
        sides = [self._counting(metric, row) for row in (one, two)]
        shared_keys = sides[0][0].filter(pc.is_in(sides[0][0], value_set=sides[1][0]))
        values = []
        for _, samples, rows in sides:
            is_shared = pc.is_in(samples.keys, value_set=shared_keys).to_numpy(zero_copy_only=False)
            part = Rows(rows.table, is_shared.astype(np.int64) * rows.counting)
            if metric in self.resampled:
                values.append(self._compute(metric, samples, part))
                continue
            matrix = bootstrap.weights(samples.units, self.resamples, self.seed)
            values.append(finish(metric, weighted_sums([reduce(metric, part)], matrix)[0]))
        return values[0], values[1], len(shared_keys)

    def _counting(self, metric: Metric, row: Row) -> tuple[pa.StringArray, Samples, Rows]:
        assert row.evaluation is not None  # noqa: S101 - callers hold rows of one evaluation; tells mypy
        samples, rows = self.read(row.evaluation)
        rows = rows if row.group is None else rows.only(row.group)
        counted = rows.counting if metric in self.resampled else reduce(metric, rows).count
        counts = counted.astype(bool)
        return samples.keys.filter(pa.array(counts)), samples, rows


def map_in_threads(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
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
    """Contributions of each sample to a metric."""
    contributions: Contributions = metric.module.reduce(rows, **metric.params)
    return contributions


def finish(metric: Metric, sums: Sums) -> Floats:
    """Value and replicates of a metric, from its sums."""
    values: Floats = metric.module.finish(sums, **metric.params)
    return values


def digest(count: NDArray[np.int64]) -> str:
    """Digest of which samples count; "" if all do."""
    return "" if count.all() else hashlib.blake2b(count.tobytes(), digest_size=16).hexdigest()


def new_row(evaluation: EvaluationFile, metric: str, values: Floats, n: int, samples: Samples) -> Row:
    """Row of one evaluation, of which n samples count."""
    one = evaluation
    return Row(
        benchmark=one.benchmark, task=one.task, model=one.model, method=one.method, detector=one.detector,
        dataset=one.dataset, split=one.split, reference=one.reference, shift=one.shift, severity=one.severity,
        group=None, step=one.step, metric=metric, value=float(values[0]), resamples=values[1:], n=n,
        seed=without_seed(one.model)[1], unit=samples.unit, units=min(n, samples.distinct),
    )  # fmt: skip
