"""Metric rows of paths: the records of the same samples under one shift at rising severity, joined by key.

A path begins with the clean records. Streams and domain shifts, which have no severities, have none; nor has a
shift that is evaluated at severity 0 alone. A metric with the option `across`, name -> shifts, has a further row
for each name (its `group`, of no shift): computed from one path that runs through all severities of all these
shifts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow.compute as pc

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import bootstrap, severity_curves
from shiftbench.statistics.benchmark_rows import (
    BenchmarkRows,
    EvaluationFile,
    Metric,
    Samples,
    digest,
    groups,
    map_in_threads,
    new_row,
    reduce,
)
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Row, Rows, SeverityPath


def path_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of path metrics.

    Raises:
        ParamsError: the clean records of a path are not in the benchmark.
    """
    if benchmark.path:
        by_path = map_in_threads(lambda path: _rows(benchmark, path), paths(benchmark.evaluations), threads)
        rows = list(itertools.chain.from_iterable(by_path))
        yield from rows
        yield from _means(rows)
        yield from _across(benchmark, threads)


def _means(rows: list[Row]) -> Iterator[Row]:
    """Yield the means over shifts of values of whole paths, as rows without a shift."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(row.shift)):
        if row.severity is None and row.group is None:
            key = (row.metric, row.model, row.method, row.dataset, row.split)
            groups.setdefault(key, []).append(row)
    for members in groups.values():
        yield severity_curves.mean(members, [row.all for row in members])


def _across(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of metrics with the option `across`."""
    metrics_by_shifts: dict[tuple[str, tuple[str, ...]], list[Metric]] = {}
    for metric in benchmark.path:
        for name, shifts in (metric.params.get("across") or {}).items():
            metrics_by_shifts.setdefault((name, tuple(shifts)), []).append(metric)
    single = paths(benchmark.evaluations)
    jobs = [
        (name, path, metrics)
        for (name, shifts), metrics in metrics_by_shifts.items()
        for path in _joint_paths(benchmark.evaluations, single, name, shifts)
    ]
    for name, rows in map_in_threads(lambda job: (job[0], _rows(benchmark, *job[1:])), jobs, threads):
        for row in rows:
            if row.group is None and row.severity is None:
                yield replace(row, shift=None, group=name)


def _joint_paths(
    evaluations: Sequence[EvaluationFile], single: list[list[int]], name: str, shifts: tuple[str, ...]
) -> list[list[int]]:
    """Join the paths of several shifts, for each model and method; none if a benchmark has none of the shifts.

    Raises:
        ParamsError: a benchmark has only some of the shifts.
    """
    by_model: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for path in single:
        end = evaluations[path[-1]]
        by_model.setdefault((end.model, end.method, end.dataset, end.split), {})[end.shift] = path
    joint = []
    for (model, *_), by_shift in by_model.items():
        missing = [shift for shift in shifts if shift not in by_shift]
        if missing and len(missing) < len(shifts):
            raise ParamsError(
                f"metrics look across {name!r}, but {model} is not evaluated on {missing[0]!r}; add it to the "
                "benchmark's shifts, or take it out"
            )
        if not missing:
            first, *others = (by_shift[shift] for shift in shifts)
            joint.append([*first, *(index for path in others for index in path[1:])])
    return joint


def paths(evaluations: Sequence[EvaluationFile]) -> list[list[int]]:
    """Paths among evaluations, each as indices into `evaluations`: the clean one, then by severity."""
    plain = [
        (index, evaluation)
        for index, evaluation in enumerate(evaluations)
        if evaluation.detector is None and not evaluation.ood and evaluation.step is None
    ]
    clean = {(evaluation.model, evaluation.method, evaluation.condition): index for index, evaluation in plain}
    by_shift: dict[tuple[str, ...], list[int]] = {}
    for index, evaluation in sorted(plain, key=lambda pair: pair[1].severity or 0):
        if evaluation.reference is not None and evaluation.severity:
            key = (evaluation.model, evaluation.method, evaluation.dataset, evaluation.split, evaluation.shift)
            if key not in by_shift:
                by_shift[key] = [_clean_index(evaluation, clean)]
            by_shift[key].append(index)
    return list(by_shift.values())


def _clean_index(shifted: EvaluationFile, clean: dict[tuple[str, str, str], int]) -> int:
    index = clean.get((shifted.model, shifted.method, str(shifted.reference)))
    if index is None:
        raise ParamsError(
            f"benchmark {shifted.benchmark}: {shifted.model} has no records of {shifted.reference}, where the path of "
            f"{shifted.shift} begins; evaluate the clean set too"
        )
    return index


def _rows(benchmark: BenchmarkRows, indices: list[int], metrics: Sequence[Metric] | None = None) -> list[Row]:
    samples, path = join(benchmark, indices)
    parts = [
        (group, metric, reduce(metric, part))
        for group, part in groups(path)
        for metric in (benchmark.path if metrics is None else metrics)
    ]
    matrix = bootstrap.weights(samples.units, benchmark.resamples, benchmark.seed)
    sums = weighted_sums([contributions for *_, contributions in parts], matrix)
    first_shifted = benchmark.evaluations[indices[1]]
    rows = []
    for (group, metric, contributions), total in zip(parts, sums, strict=True):
        basis = (samples.number, digest(contributions.count))
        for severity, values in metric.module.finish(total, path, **metric.params).items():
            row = new_row(first_shifted, metric.name, values, int(total.count[0]), samples)
            rows.append(replace(row, group=group, severity=severity, basis=basis))
    return rows


def join(benchmark: BenchmarkRows, indices: list[int]) -> tuple[Samples, SeverityPath]:
    """Samples that all evaluations have, in the order of the first, and their records in each."""
    records = [benchmark.read(index, benchmark.path) for index in indices]
    severities = tuple(float(benchmark.evaluations[index].severity or 0) for index in indices)
    first = records[0][0]
    if all(samples.number == first.number for samples, _ in records):
        return first, SeverityPath(severities, tuple(rows for _, rows in records))
    keys = first.keys
    for samples, _ in records[1:]:
        keys = keys.filter(pc.is_in(keys, value_set=samples.keys))
    tables = [rows.table.take(pc.index_in(keys, value_set=samples.keys)) for samples, rows in records]
    shared = benchmark.lists.intern(tables[0], benchmark.evaluations[indices[0]].file)
    return shared, SeverityPath(severities, tuple(Rows(table) for table in tables))
