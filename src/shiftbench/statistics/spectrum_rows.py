"""Sample metrics over the full spectrum: the clean and the shifted sets that have scores, together as one.

Sums of samples add up, so that nothing is read twice at once: a metric of the union is `finish` of the added sums.
"""

from collections.abc import Iterator
from dataclasses import replace

from shiftbench.statistics import bootstrap, scored_cells
from shiftbench.statistics.benchmark_rows import BenchmarkRows, CellRows, Samples, digest, each, finish, new_row, reduce
from shiftbench.statistics.contributions import Sums, weighted
from shiftbench.statistics.rows import Row
from shiftbench.statistics.scored_cells import FULL_SPECTRUM

Place = tuple[str | float | None, ...]


def spectrum_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield one row per sample metric, weights and method, with `full_spectrum` as its shift."""
    found = each(lambda cells: _rows(benchmark, cells), _unions(benchmark), threads)
    if benchmark.sample:
        for rows in found:
            yield from rows


def _unions(benchmark: BenchmarkRows) -> list[list[int]]:
    """Return the records of each family with shifted scores, the clean ones first; detectors share them."""
    records = {
        _place(cell): at for at, cell in enumerate(benchmark.cells) if cell.detector is None and cell.step is None
    }
    unions = {
        tuple(_place(cell) for cell in (family.clean, *family.shifted))
        for family in scored_cells.families(benchmark.cells)
        if family.shifted
    }
    return [[records[place] for place in union] for union in sorted(unions, key=str) if records.keys() >= set(union)]


def _place(cell: CellRows) -> Place:
    return cell.model, cell.method, cell.dataset, cell.split, cell.shift, cell.severity


def _rows(benchmark: BenchmarkRows, cells: list[int]) -> list[Row]:
    sums: list[Sums] | None = None
    bases: list[list[object]] = [[] for _ in benchmark.sample]
    resampled: Samples | None = None
    for at in cells:
        samples, rows = benchmark.read(at, benchmark.sample)
        parts = [reduce(metric, rows) for metric in benchmark.sample]
        matrix = bootstrap.weights(samples.units, benchmark.draws, benchmark.seed)
        own = weighted(parts, matrix)
        sums = own if sums is None else [_add(*pair) for pair in zip(sums, own, strict=True)]
        for basis, part in zip(bases, parts, strict=True):
            basis.append((samples.number, digest(part.count)))
        resampled = samples if resampled is None or samples.unit != "key" else resampled
    clean = benchmark.cells[cells[0]]
    found = []
    assert resampled is not None  # noqa: S101 - a union has cells; tells mypy
    for metric, total, basis in zip(benchmark.sample, sums or [], bases, strict=True):
        row = new_row(clean, metric.name, finish(metric, total), int(total.count[0]), resampled)
        place = {"reference": clean.position, "shift": FULL_SPECTRUM, "severity": None}
        found.append(replace(row, basis=tuple(basis), **place))  # type: ignore[arg-type]
    return found


def _add(one: Sums, two: Sums) -> Sums:
    return Sums(one.count + two.count, one.sums + two.sums, one.binned + two.binned)
