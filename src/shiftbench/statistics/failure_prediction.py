"""Failure detection: does a detector's score tell right from wrong predictions? Rows of metrics, and curves.

Scores of ID sets, clean and shifted, are joined with `correct` of the records that they were made from. Samples
without a label among the model's classes do not count. Tasks whose records have no `correct` have none of it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.data import formats, schema
from shiftbench.data.formats import Column, Format
from shiftbench.statistics import risk_coverage, scored_cells
from shiftbench.statistics.benchmark_rows import BenchmarkRows, CellRows, digest, each, new_row
from shiftbench.statistics.rows import Row
from shiftbench.statistics.scored_cells import Scored
from shiftbench.statistics.thresholds import Flags

_CELL = ("benchmark model method detector dataset split reference shift severity step").split()

RISK_COVERAGE = Format(
    "risk_coverage",
    "Share of wrong predictions among the samples that a detector trusts most, at rising coverage.",
    (*_CELL, "accepted"),
    (
        *(column for column in formats.METRICS.columns if column.name in _CELL),
        Column("accepted", pa.int64(), "sample", "samples with the lowest scores", 1),
        Column("coverage", pa.float64(), "share", "accepted by all samples that count", 0, 1),
        Column("risk", pa.float64(), "share", "of the accepted, expected over orders of equal scores", 0, 1),
    ),
)


def failure_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of failure metrics of ID cells with scores."""
    if benchmark.failure:
        found = each(lambda cell: _rows(benchmark, cell), _wanted(benchmark), threads)
        yield from itertools.chain.from_iterable(found)


def table(benchmark: BenchmarkRows) -> pa.Table:
    """Return the risk-coverage curves of the same cells, seeds apart; none where no failure metric is asked for."""
    rows: list[dict[str, object]] = []
    for cell in _wanted(benchmark) if benchmark.failure else ():
        scored, correct, counts = _joined(benchmark, cell)
        place = {name: getattr(cell, name) for name in _CELL}
        n = int(counts.sum())
        for accepted, risk in zip(*risk_coverage.curve(scored.scores[counts], correct[counts]), strict=True):
            rows.append({**place, "accepted": accepted, "coverage": accepted / n, "risk": risk})
    return schema.table(rows, RISK_COVERAGE)


def _wanted(benchmark: BenchmarkRows) -> list[CellRows]:
    return [
        cell
        for cell in benchmark.cells
        if cell.detector is not None and not cell.ood and cell.records is not None
        and "correct" in pq.read_schema(cell.records).names
    ]  # fmt: skip


def _joined(benchmark: BenchmarkRows, cell: CellRows) -> tuple[Scored, Flags, Flags]:
    """Return the scores, which predictions are right, and which samples count."""
    scored = scored_cells.read(benchmark, cell, ["correct"])
    assert scored.records is not None  # noqa: S101 - `_wanted` asks for records; tells mypy
    column = scored.records.column("correct")
    correct = column.fill_null(fill_value=False).to_numpy().astype(bool)
    return scored, correct, column.is_valid().to_numpy().astype(bool)


def _rows(benchmark: BenchmarkRows, cell: CellRows) -> list[Row]:
    scored, correct, counts = _joined(benchmark, cell)
    weights = scored.weights(benchmark)
    if not counts.all():
        weights = weights[counts]
    rows = []
    for metric in benchmark.failure:
        values = metric.module.compute(scored.scores[counts], correct[counts], weights, **metric.params)
        row = new_row(cell, metric.name, values, int(counts.sum()), scored.samples)
        basis = (scored.samples.number, digest(np.asarray(counts, dtype=np.int64)))
        rows.append(replace(row, basis=basis))
    return rows
