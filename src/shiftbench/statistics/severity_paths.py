"""Paths: from the records of one shift at rising severity to metric rows; the same samples, joined by key.

A path begins with the clean records. Streams and domain shifts, which have no severities, have none; nor has a
shift that is evaluated at severity 0 alone. A metric with the option `across`, name -> shifts, has a further row
for each name (its `group`, of no shift): computed from one path that runs through all severities of all these
shifts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import bootstrap, severity_curves
from shiftbench.statistics.benchmark_rows import (
    BenchmarkRows,
    CellRows,
    Metric,
    Samples,
    digest,
    each,
    groups,
    new_row,
    reduce,
)
from shiftbench.statistics.contributions import weighted
from shiftbench.statistics.rows import Row, Rows, SeverityPath


def path_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of path metrics.

    Raises:
        ParamsError: the clean records of a path are not in the benchmark.
    """
    if benchmark.path:
        found = each(lambda cells: _rows(benchmark, cells), paths(benchmark.cells), threads)
        rows = list(itertools.chain.from_iterable(found))
        yield from rows
        yield from _means(rows)
        yield from _across(benchmark, threads)


def _means(rows: list[Row]) -> Iterator[Row]:
    """Yield the means over shifts of values of whole paths, as rows without a shift."""
    places: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(row.shift)):
        if row.severity is None and row.group is None:
            place = (row.metric, row.model, row.method, row.dataset, row.split)
            places.setdefault(place, []).append(row)
    for found in places.values():
        yield severity_curves.mean(found, [row.all for row in found])


def _across(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of metrics that look across several shifts at once."""
    asked: dict[tuple[str, tuple[str, ...]], list[Metric]] = {}
    for metric in benchmark.path:
        for name, shifts in (metric.params.get("across") or {}).items():
            asked.setdefault((name, tuple(shifts)), []).append(metric)
    own = paths(benchmark.cells)
    todo = [
        (name, cells, metrics)
        for (name, shifts), metrics in asked.items()
        for cells in _together(benchmark.cells, own, name, shifts)
    ]
    found = each(lambda one: (one[0], _rows(benchmark, *one[1:])), todo, threads)
    for name, rows in found:
        for row in rows:
            if row.group is None and row.severity is None:
                yield replace(row, shift=None, group=name)


def _together(cells: Sequence[CellRows], own: list[list[int]], name: str, shifts: tuple[str, ...]) -> list[list[int]]:
    """Return the paths of several shifts as one, for each weights and method; none where a benchmark has none of them.

    Raises:
        ParamsError: a benchmark has some of the shifts only.
    """
    by_who: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for path in own:
        cell = cells[path[-1]]
        who = (cell.model, cell.method, cell.dataset, cell.split)
        by_who.setdefault(who, {})[cell.shift] = path
    found = []
    for (weights, *_), by_shift in by_who.items():
        lacking = [shift for shift in shifts if shift not in by_shift]
        if lacking and len(lacking) < len(shifts):
            raise ParamsError(
                f"metrics look across {name!r}, but {weights} is not evaluated on {lacking[0]!r}; add it to the "
                "benchmark's shifts, or take it out"
            )
        if not lacking:
            first, *others = (by_shift[shift] for shift in shifts)
            found.append([*first, *(at for path in others for at in path[1:])])
    return found


def paths(cells: Sequence[CellRows]) -> list[list[int]]:
    """Return the paths among cells, each as places in `cells`: the clean one, then by severity."""
    plain = [
        (at, cell) for at, cell in enumerate(cells) if cell.detector is None and not cell.ood and cell.step is None
    ]
    clean = {(cell.model, cell.method, cell.position): at for at, cell in plain}
    found: dict[tuple[str, ...], list[int]] = {}
    for at, cell in sorted(plain, key=lambda one: one[1].severity or 0):
        if cell.reference is not None and cell.severity:
            who = (cell.model, cell.method, cell.dataset, cell.split, cell.shift)
            if who not in found:
                found[who] = [_clean(cell, clean)]
            found[who].append(at)
    return list(found.values())


def _clean(cell: CellRows, clean: dict[tuple[str, str, str], int]) -> int:
    at = clean.get((cell.model, cell.method, str(cell.reference)))
    if at is None:
        raise ParamsError(
            f"benchmark {cell.benchmark}: {cell.model} has no records of {cell.reference}, where the path of "
            f"{cell.shift} begins; evaluate the clean set too"
        )
    return at


def _rows(benchmark: BenchmarkRows, cells: list[int], metrics: Sequence[Metric] | None = None) -> list[Row]:
    samples, path = join(benchmark, cells)
    parts = [
        (group, metric, reduce(metric, part))
        for group, part in groups(path)
        for metric in (benchmark.path if metrics is None else metrics)
    ]
    matrix = bootstrap.weights(samples.units, benchmark.draws, benchmark.seed)
    sums = weighted([contributions for *_, contributions in parts], matrix)
    found = []
    for (group, metric, contributions), total in zip(parts, sums, strict=True):
        basis = (samples.number, digest(contributions.count))
        values = metric.module.finish(total, path, **metric.params)
        for severity, row_values in values.items():
            row = new_row(benchmark.cells[cells[1]], metric.name, row_values, int(total.count[0]), samples)
            found.append(replace(row, group=group, severity=severity, basis=basis))
    return found


def join(benchmark: BenchmarkRows, cells: list[int]) -> tuple[Samples, SeverityPath]:
    """Return the samples that all cells have, in the order of the first, and their records in each."""
    read = [benchmark.read(at, benchmark.path) for at in cells]
    severities = tuple(float(benchmark.cells[at].severity or 0) for at in cells)
    first = read[0][0]
    if all(samples.number == first.number for samples, _ in read):
        return first, SeverityPath(severities, tuple(rows for _, rows in read))
    keys = first.keys
    for samples, _ in read[1:]:
        keys = keys.filter(pc.is_in(keys, value_set=samples.keys))
    tables = [_at(rows.table, samples.keys, keys) for samples, rows in read]
    shared = benchmark.lists.intern(tables[0], benchmark.cells[cells[0]].file)
    return shared, SeverityPath(severities, tuple(Rows(table) for table in tables))


def _at(table: pa.Table, keys: pa.StringArray, wanted: pa.StringArray) -> pa.Table:
    return table.take(pc.index_in(wanted, value_set=keys))
