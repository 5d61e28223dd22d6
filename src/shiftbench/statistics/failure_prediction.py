"""Rows and curves of failure detection: does a detector's score separate correct from wrong predictions?

Scores of ID sets, clean and shifted, are joined with `correct` of the records that they were made from. Samples
without a label among the model's classes do not count. Records without a column `correct` have no rows and no curves.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.data import formats, schema
from shiftbench.data.formats import Column, Format
from shiftbench.statistics import evaluation_scores, risk_coverage
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile, digest, map_in_threads, new_row
from shiftbench.statistics.evaluation_scores import EvaluationScores
from shiftbench.statistics.rows import Row
from shiftbench.statistics.thresholds import Flags

_EVALUATION = ("benchmark model method detector dataset split reference shift severity step").split()

RISK_COVERAGE = Format(
    "risk_coverage",
    "Share of wrong predictions among the samples that a detector trusts most, at rising coverage.",
    (*_EVALUATION, "accepted"),
    (
        *(column for column in formats.METRICS.columns if column.name in _EVALUATION),
        Column("accepted", pa.int64(), "sample", "samples with the lowest scores", 1),
        Column("coverage", pa.float64(), "share", "accepted by all samples that count", 0, 1),
        Column("risk", pa.float64(), "share", "of the accepted, expected over orders of equal scores", 0, 1),
    ),
)


def failure_rows(benchmark: BenchmarkRows, threads: int) -> Iterator[Row]:
    """Yield the rows of failure metrics of ID evaluations with scores."""
    if benchmark.failure:
        rows = map_in_threads(lambda evaluation: _rows(benchmark, evaluation), _id_evaluations(benchmark), threads)
        yield from itertools.chain.from_iterable(rows)


def table(benchmark: BenchmarkRows) -> pa.Table:
    """Risk-coverage curves of the same evaluations, for each seed; empty if there is no failure metric."""
    rows: list[dict[str, object]] = []
    for evaluation in _id_evaluations(benchmark) if benchmark.failure else ():
        scored, correct, counts = _scores_and_flags(benchmark, evaluation)
        place = {name: getattr(evaluation, name) for name in _EVALUATION}
        n = int(counts.sum())
        for accepted, risk in zip(*risk_coverage.curve(scored.scores[counts], correct[counts]), strict=True):
            rows.append({**place, "accepted": accepted, "coverage": accepted / n, "risk": risk})
    return schema.table(rows, RISK_COVERAGE)


def _id_evaluations(benchmark: BenchmarkRows) -> list[EvaluationFile]:
    return [
        one
        for one in benchmark.evaluations
        if one.detector is not None and not one.ood and one.records is not None
        and "correct" in pq.read_schema(one.records).names
    ]  # fmt: skip


def _scores_and_flags(benchmark: BenchmarkRows, evaluation: EvaluationFile) -> tuple[EvaluationScores, Flags, Flags]:
    """Scores, which predictions are correct, and which samples count."""
    scored = evaluation_scores.read(benchmark, evaluation, ["correct"])
    assert scored.records is not None  # noqa: S101 - `_id_evaluations` asks for records; tells mypy
    column = scored.records.column("correct")
    correct = column.fill_null(fill_value=False).to_numpy().astype(bool)
    return scored, correct, column.is_valid().to_numpy().astype(bool)


def _rows(benchmark: BenchmarkRows, evaluation: EvaluationFile) -> list[Row]:
    scored, correct, counts = _scores_and_flags(benchmark, evaluation)
    weights = scored.weights(benchmark)
    if not counts.all():
        weights = weights[counts]
    rows = []
    for metric in benchmark.failure:
        values = metric.module.compute(scored.scores[counts], correct[counts], weights, **metric.params)
        row = new_row(evaluation, metric.name, values, int(counts.sum()), scored.samples)
        basis = (scored.samples.number, digest(np.asarray(counts, dtype=np.int64)))
        rows.append(replace(row, basis=basis))
    return rows
