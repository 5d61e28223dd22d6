"""Scores of a benchmark's evaluations: read with their records, and grouped for comparisons of ID with OOD sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.data import formats, schema
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile, Samples
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Weights

GroupKey = tuple[str | int | None, ...]
FULL_SPECTRUM = "full_spectrum"
"""Instead of a shift: the clean and all shifted sets together."""


@dataclass(frozen=True, slots=True)
class EvaluationScores:
    """The scores of one evaluation.

    Attributes:
        samples: keys, and what is resampled.
        scores: float64 (n,), higher = more OOD.
        records: the requested columns of the records, in the order of the scores; None: the records are not known.
    """

    samples: Samples
    scores: Floats
    records: pa.Table | None

    def weights(self, benchmark: BenchmarkRows) -> Weights:
        """Bootstrap weights, uint8 (n, 1 + resamples)."""
        return bootstrap.weights(self.samples.units, benchmark.resamples, benchmark.seed)


def read(benchmark: BenchmarkRows, evaluation: EvaluationFile, columns: Sequence[str] = ()) -> EvaluationScores:
    """Read the scores of an evaluation, and columns of its records if the evaluation names them.

    Clusters of the records are resampled if there are any, else samples.

    Raises:
        RangeError: a score is not finite.
        DataError: the records are of other samples.
    """
    file, records_file = evaluation.file, evaluation.records
    table = schema.read(file, form=formats.SCORES)
    scores = table.column("score").to_numpy()
    if not np.isfinite(scores).all():
        key = table.column("key")[int(np.argmin(np.isfinite(scores)))].as_py()
        raise RangeError(f"{file}: the score of sample {key!r} is not finite; make the scores again")
    if records_file is None:
        return EvaluationScores(benchmark.lists.intern(table, file), scores, None)
    records = schema.read(records_file, ["key", "cluster", *columns])
    samples = benchmark.lists.intern(records, records_file)
    if not samples.keys.equals(table.column("key").combine_chunks()):
        raise DataError(
            f"{file}: scores of {len(table)} samples, but {records_file} has {len(records)} others; make the "
            "scores again"
        )
    return EvaluationScores(samples, scores, records)


@dataclass(slots=True)
class DetectionGroup:
    """The evaluations of one (model, method, detector, split): the clean ID set, its shifts, the OOD sets.

    In a stream, those of one step: the ID set at that step, and the OOD sets.
    """

    clean: EvaluationFile
    shifted: list[EvaluationFile] = field(default_factory=list)
    ood: list[EvaluationFile] = field(default_factory=list)


def detection_groups(evaluations: Sequence[EvaluationFile]) -> list[DetectionGroup]:
    """Group all evaluations that have scores.

    Raises:
        ParamsError: OOD or shifted scores without those of a clean ID set, or with several.
    """
    scored = [evaluation for evaluation in evaluations if evaluation.detector is not None]
    clean = [evaluation for evaluation in scored if _is_clean(evaluation)]
    groups: dict[GroupKey, DetectionGroup] = {}
    for evaluation in clean:
        if group_key(evaluation) in groups:
            raise _wrong_clean_count(
                evaluation, len([other for other in clean if group_key(other) == group_key(evaluation)])
            )
        groups[group_key(evaluation)] = DetectionGroup(evaluation)
    for evaluation in scored:
        if not _is_clean(evaluation):
            if group_key(evaluation) not in groups:
                raise _wrong_clean_count(evaluation, 0)
            group = groups[group_key(evaluation)]
            (group.ood if evaluation.ood else group.shifted).append(evaluation)
    return list(groups.values())


def _is_clean(evaluation: EvaluationFile) -> bool:
    """Whether OOD sets are compared with an evaluation: the clean ID set, or the ID set at a step of a stream."""
    return not evaluation.ood and (evaluation.reference is None or evaluation.step is not None)


def group_key(evaluation: EvaluationFile) -> GroupKey:
    """Identity of the group that an evaluation is in."""
    return evaluation.model, evaluation.method, evaluation.detector, evaluation.split, evaluation.step


def _wrong_clean_count(evaluation: EvaluationFile, count: int) -> ParamsError:
    id_set = "one clean ID set" if evaluation.step is None else f"one ID set at step {evaluation.step}"
    return ParamsError(
        f"benchmark {evaluation.benchmark}: the scores of {evaluation.condition} under {evaluation.detector} need "
        f"{id_set} of {evaluation.model} ({evaluation.method}, split {evaluation.split}) to be compared with; found "
        f"{count}"
    )
