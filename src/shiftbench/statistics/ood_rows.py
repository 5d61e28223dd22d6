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
from shiftbench.statistics import evaluation_scores
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile, map_in_threads, new_row
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM, DetectionGroup
from shiftbench.statistics.rows import Floats, Row
from shiftbench.statistics.thresholds import Sides, Weights


@dataclass(frozen=True, slots=True)
class _Side:
    """The ID side of a comparison: its name in rows, samples, units, scores (n,), weights (n, 1 + resamples)."""

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
        groups = [group for group in evaluation_scores.detection_groups(benchmark.evaluations) if group.ood]
        rows = map_in_threads(lambda group: _rows(benchmark, group, full_spectrum), groups, threads)
        yield from itertools.chain.from_iterable(rows)


def _rows(benchmark: BenchmarkRows, group: DetectionGroup, full_spectrum: bool) -> list[Row]:  # noqa: FBT001 - mapped over
    sides = [_side(benchmark, [group.clean], group.clean.condition)]
    if full_spectrum and group.clean.step is None:
        clean = group.clean
        if not group.shifted:
            raise ParamsError(
                f"benchmark {clean.benchmark}: the full spectrum of {clean.condition} needs scores of shifted ID sets "
                f"under {clean.detector}; name shifts, or leave out full_spectrum"
            )
        reference = f"{clean.dataset}/{clean.split}/{FULL_SPECTRUM}"
        sides.append(_side(benchmark, [clean, *group.shifted], reference))
    rows: list[Row] = []
    for side in sides:
        by_ood_group: dict[str, list[list[Row]]] = {}
        for evaluation in group.ood:
            metric_rows = _metric_rows(benchmark, side, evaluation)
            rows += metric_rows
            if evaluation.ood_group is not None:
                by_ood_group.setdefault(evaluation.ood_group, []).append(metric_rows)
        for name, members in by_ood_group.items():
            rows += [_mean(name, list(sets)) for sets in zip(*members, strict=True)]
    return rows


def _side(benchmark: BenchmarkRows, evaluations: list[EvaluationFile], reference: str) -> _Side:
    """ID side of one evaluation or of several together; equal keys have equal weights."""
    scores = [evaluation_scores.read(benchmark, one) for one in evaluations]
    weights = [one.weights(benchmark) for one in scores]
    return _Side(
        reference,
        tuple(one.samples.number for one in scores),
        min(one.samples.distinct for one in scores),
        np.concatenate([one.scores for one in scores]),
        weights[0] if len(weights) == 1 else np.concatenate(weights),
    )


def _metric_rows(benchmark: BenchmarkRows, side: _Side, evaluation: EvaluationFile) -> list[Row]:
    ood = evaluation_scores.read(benchmark, evaluation)
    sides = Sides.of_ood(side.scores, ood.scores, side.weights, ood.weights(benchmark))
    rows = []
    for metric in benchmark.detection:
        values = metric.module.compute(sides, **metric.params)
        n = len(side.scores) + len(ood.scores)
        row = new_row(evaluation, metric.name, values, n, ood.samples)
        basis = (*side.basis, ood.samples.number)
        units = min(side.units, ood.samples.distinct)
        rows.append(replace(row, reference=side.reference, basis=basis, units=units))
    return rows


def _mean(group: str, sets: list[Row]) -> Row:
    """Unweighted mean over OOD sets as a row of the group, in the order of the sets' names."""
    ordered = sorted(sets, key=lambda row: row.dataset)
    values = np.add.accumulate([row.all for row in ordered])[-1] / len(ordered)
    return ordered[0].derived(ordered, values, dataset=group, shift=None, severity=None)
