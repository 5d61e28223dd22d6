"""Sample metrics over the full spectrum: the clean and the shifted sets that have scores, together as one.

Sums of samples add up, so that nothing is read twice at once: a metric of the union is `finish` of the added sums.
"""

from collections.abc import Iterator
from dataclasses import replace

from shiftbench.statistics import bootstrap, evaluation_scores
from shiftbench.statistics.benchmark_rows import (
    BenchmarkRows,
    EvaluationFile,
    Samples,
    digest,
    finish,
    map_in_threads,
    new_row,
    reduce,
)
from shiftbench.statistics.contributions import Sums, weighted_sums
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM
from shiftbench.statistics.rows import Row

Identity = tuple[str | float | None, ...]


def spectrum_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield one row per sample metric, model and method, with `full_spectrum` as its shift."""
    unions = map_in_threads(lambda indices: _rows(benchmark, indices), _unions(benchmark), threads)
    if benchmark.sample:
        for rows in unions:
            yield from rows


def _unions(benchmark: BenchmarkRows) -> list[list[int]]:
    """Indices of the records of each group with shifted scores, the clean ones first; detectors share them."""
    records = {
        _identity(evaluation): index
        for index, evaluation in enumerate(benchmark.evaluations)
        if evaluation.detector is None and evaluation.step is None
    }
    unions = {
        tuple(_identity(evaluation) for evaluation in (group.clean, *group.shifted))
        for group in evaluation_scores.detection_groups(benchmark.evaluations)
        if group.shifted
    }
    return [
        [records[evaluation] for evaluation in union]
        for union in sorted(unions, key=str)
        if records.keys() >= set(union)
    ]


def _identity(one: EvaluationFile) -> Identity:
    return (one.model, one.method, one.dataset, one.split, one.shift, one.severity)


def _rows(benchmark: BenchmarkRows, indices: list[int]) -> list[Row]:
    sums: list[Sums] | None = None
    bases: list[list[object]] = [[] for _ in benchmark.sample]
    resampled: Samples | None = None
    for index in indices:
        samples, rows = benchmark.read(index, benchmark.sample)
        parts = [reduce(metric, rows) for metric in benchmark.sample]
        matrix = bootstrap.weights(samples.units, benchmark.resamples, benchmark.seed)
        new_sums = weighted_sums(parts, matrix)
        sums = new_sums if sums is None else [_add(*pair) for pair in zip(sums, new_sums, strict=True)]
        for basis, part in zip(bases, parts, strict=True):
            basis.append((samples.number, digest(part.count)))
        resampled = samples if resampled is None or samples.unit != "key" else resampled
    clean = benchmark.evaluations[indices[0]]
    metric_rows = []
    assert resampled is not None  # noqa: S101 - a union has evaluations; tells mypy
    for metric, total, basis in zip(benchmark.sample, sums or [], bases, strict=True):
        row = new_row(clean, metric.name, finish(metric, total), int(total.count[0]), resampled)
        place = {"reference": clean.condition, "shift": FULL_SPECTRUM, "severity": None}
        metric_rows.append(replace(row, basis=tuple(basis), **place))  # type: ignore[arg-type]
    return metric_rows


def _add(one: Sums, two: Sums) -> Sums:
    return Sums(one.count + two.count, one.sums + two.sums, one.binned + two.binned)
