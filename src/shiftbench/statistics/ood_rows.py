"""From scores to rows of detection metrics: each OOD set, and each group of sets, against the ID set.

The mean over a group is unweighted, of the sets' values and of their replicates; scores are never pooled. For the
full spectrum (Yang et al. 2023, "Full-spectrum out-of-distribution detection") the ID side is the clean set and all its
shifted sets together, so that a detector that flags a shift pays for it. In a stream OOD sets are compared with the ID
set of the same step.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import scored_cells
from shiftbench.statistics.benchmark_rows import BenchmarkRows, CellRows, each, new_row
from shiftbench.statistics.rows import Floats, Row
from shiftbench.statistics.scored_cells import FULL_SPECTRUM, Family
from shiftbench.statistics.thresholds import Sides, Weights


@dataclass(frozen=True, slots=True)
class _Side:
    """The ID side of a comparison: how rows name it, which samples, units, scores (n,), weights (n, 1 + draws)."""

    reference: str
    basis: tuple[int, ...]
    units: int
    scores: Floats
    weights: Weights


def detection_rows(benchmark: BenchmarkRows, threads: int, *, full_spectrum: bool) -> Iterator[Row]:
    """Yield the rows of detection metrics.

    Raises:
        ParamsError: OOD scores without those of one clean ID set; no shifted scores for the full spectrum.
    """
    if benchmark.detection:
        found = [family for family in scored_cells.families(benchmark.cells) if family.ood]
        rows = each(lambda family: _rows(benchmark, family, full_spectrum), found, threads)
        yield from itertools.chain.from_iterable(rows)


def _rows(benchmark: BenchmarkRows, family: Family, full_spectrum: bool) -> list[Row]:  # noqa: FBT001 - mapped over
    sides = [_side(benchmark, [family.clean], family.clean.position)]
    if full_spectrum and family.clean.step is None:
        clean = family.clean
        if not family.shifted:
            raise ParamsError(
                f"benchmark {clean.benchmark}: the full spectrum of {clean.position} needs scores of shifted ID sets "
                f"under {clean.detector}; name shifts, or leave out full_spectrum"
            )
        name = f"{clean.dataset}/{clean.split}/{FULL_SPECTRUM}"
        sides.append(_side(benchmark, [clean, *family.shifted], name))
    rows: list[Row] = []
    for side in sides:
        grouped: dict[str, list[list[Row]]] = {}
        for cell in family.ood:
            made = _against(benchmark, side, cell)
            rows += made
            if cell.ood_group is not None:
                grouped.setdefault(cell.ood_group, []).append(made)
        for group, members in grouped.items():
            rows += [_mean(group, list(sets)) for sets in zip(*members, strict=True)]
    return rows


def _side(benchmark: BenchmarkRows, cells: list[CellRows], reference: str) -> _Side:
    """Return the ID side of one cell or of several together; equal keys have equal weights."""
    read = [scored_cells.read(benchmark, cell) for cell in cells]
    weights = [scored.weights(benchmark) for scored in read]
    return _Side(
        reference,
        tuple(scored.samples.number for scored in read),
        min(scored.samples.distinct for scored in read),
        np.concatenate([scored.scores for scored in read]),
        weights[0] if len(weights) == 1 else np.concatenate(weights),
    )


def _against(benchmark: BenchmarkRows, side: _Side, cell: CellRows) -> list[Row]:
    ood = scored_cells.read(benchmark, cell)
    sides = Sides.of_ood(side.scores, ood.scores, side.weights, ood.weights(benchmark))
    rows = []
    for metric in benchmark.detection:
        values = metric.module.compute(sides, **metric.params)
        n = len(side.scores) + len(ood.scores)
        row = new_row(cell, metric.name, values, n, ood.samples)
        basis = (*side.basis, ood.samples.number)
        units = min(side.units, ood.samples.distinct)
        rows.append(replace(row, reference=side.reference, basis=basis, units=units))
    return rows


def _mean(group: str, sets: list[Row]) -> Row:
    """Return the unweighted mean over OOD sets as a row of the group, in the order of the sets' names."""
    ordered = sorted(sets, key=lambda row: row.dataset)
    values = np.add.accumulate([row.all for row in ordered])[-1] / len(ordered)
    return ordered[0].derived(ordered, values, dataset=group, shift=None, severity=None)
