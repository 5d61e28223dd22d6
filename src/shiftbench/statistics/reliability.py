"""Bins of confidence behind a reliability diagram; integers, so that seeds and shifts can be pooled by adding.

Bins are those of the metric `ece`: bin b of B holds confidences in (b/B, (b+1)/B]. Source: Guo et al. 2017,
"On calibration of modern neural networks", figure 4.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.data import schema
from shiftbench.data.formats import E9, Column, Format
from shiftbench.statistics.benchmark_rows import EvaluationFile

BINS = 15
_COLUMNS = ("correct", "confidence_e9")
_EVALUATION = ("benchmark", "model", "method", "dataset", "split", "reference", "shift", "severity", "step")

RELIABILITY = Format(
    "reliability",
    "Confidence against correctness in bins of confidence, one row per bin that holds samples.",
    ("benchmark", "model", "method", "dataset", "split", "reference", "shift", "severity", "step", "bin"),
    (
        Column("benchmark", pa.string(), "", "name of the benchmark in params.yaml"),
        Column("model", pa.string(), "", "the trained model"),
        Column("method", pa.string(), "", "what goes around the model at test time"),
        Column("dataset", pa.string(), "", "dataset"),
        Column("split", pa.string(), "", "its split"),
        Column("reference", pa.string(), "", "clean partner; null: the clean set itself", nullable=True),
        Column("shift", pa.string(), "", "shift"),
        Column("severity", pa.float64(), "", "severity; null: a domain shift", 0, nullable=True),
        Column("step", pa.int32(), "", "position in a stream; null: not part of one", 0, nullable=True),
        Column("bin", pa.int32(), "", f"bin b of {BINS} holds confidences in (b/{BINS}, (b+1)/{BINS}]", 0, BINS - 1),
        Column("n", pa.int64(), "sample", "samples in the bin", 1),
        Column("correct", pa.int64(), "sample", "of these, right ones", 0),
        Column("confidence_e9", pa.int64(), "1e-9", "sum of their confidences", 0),
    ),
)


def bins(records: pa.Table, **evaluation: object) -> pa.Table:
    """Bins of one evaluation as rows of RELIABILITY.

    Args:
        records: columns `correct` (null: does not count) and `confidence_e9`, as in `formats.RECORDS_FULL`.
        evaluation: the other columns of RELIABILITY: benchmark, model, method, dataset, split, reference, ...
    """
    counts = records.filter(records.column("correct").is_valid())
    confidence = counts.column("confidence_e9").to_numpy()
    correct = counts.column("correct").to_numpy(zero_copy_only=False).astype(bool)
    bin_numbers = np.maximum((confidence * BINS - 1) // E9, 0)
    rows = [
        {**evaluation, "bin": int(b), "n": int(is_in_bin.sum()), "correct": int(correct[is_in_bin].sum()),
         "confidence_e9": int(confidence[is_in_bin].sum())}
        for b in np.unique(bin_numbers)
        for is_in_bin in [bin_numbers == b]
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=RELIABILITY.arrow)


def table(evaluations: Iterable[EvaluationFile]) -> pa.Table:
    """Bins of a benchmark's evaluations; OOD sets, scores and records without confidences have none."""
    tables = [RELIABILITY.arrow.empty_table()]
    for evaluation in evaluations:
        if (
            evaluation.detector is None
            and not evaluation.ood
            and set(_COLUMNS) <= set(pq.read_schema(evaluation.file).names)
        ):
            tables.append(
                bins(
                    schema.read(evaluation.file, _COLUMNS), **{name: getattr(evaluation, name) for name in _EVALUATION}
                )
            )
    return pa.concat_tables(tables)
