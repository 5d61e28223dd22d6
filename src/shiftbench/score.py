"""Stage score: detectors fitted and scored from records and features -> one OOD score per sample."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench import plugins, recipe, refs, schema
from shiftbench.detectors._rows import Rows
from shiftbench.errors import ModelError
from shiftbench.recipe import Cell, Run
from shiftbench.refs import Ref


def score_cell(
    detector: ModuleType, params: dict[str, Any], rows: Rows, train: Rows | None = None
) -> pa.Table:
    """Return the scores of one cell.

    Args:
        detector: the detector's file.
        params: its options; missing ones have their defaults.
        rows: records (and features, where it needs them) of the cell.
        train: the same of the training split, where its NEEDS name `train_logits` or `train_features`.

    Returns:
        Key and score (float64, higher = more OOD), in the order of the records; format SCORES.

    Raises:
        ModelError: a score is not finite, or there is not one per sample; names the sample.
        ParamsError, DataError: what the detector needs is not there.
    """
    options = {**detector.PARAMS, **params}
    state = detector.fit(train, options)
    scores = (
        np.asarray(detector.score(rows, state, options), dtype=np.float64)
        if len(rows)
        else np.zeros(0)
    )
    _check(scores, rows, detector.__name__.rpartition(".")[2])
    return pa.table({"key": rows.table.column("key"), "score": scores}, schema=schema.SCORES.arrow)


def _check(scores: np.ndarray, rows: Rows, name: str) -> None:
    if scores.shape != (len(rows),):
        raise ModelError(
            f"detector {name}: expected {len(rows)} scores, one per sample, found shape {scores.shape}"
        )
    if not np.isfinite(scores).all():
        at = int(np.argmin(np.isfinite(scores)))
        raise ModelError(
            f"detector {name}: the score of sample {rows.keys[at]!r} is {scores[at]}; it must be finite"
        )


def run(run: Run, todo: list[Cell]) -> None:
    """Score the records of one (weights, method) under one detector."""
    for cell in todo:
        spec = cell.recipe["detector"]
        detector = plugins.find("detectors", spec["use"])
        table = score_cell(detector, spec["options"], *_rows(run, cell))
        output = run.path(cell.ref)
        with recipe.scratch(output) as temporary:
            schema.write(table, temporary, cell.fingerprint, schema.SCORES)
            run.commit(cell, {output.name: temporary})


def _rows(run: Run, cell: Cell) -> tuple[Rows, Rows | None]:
    """Read the cell's own rows, and those of the training split where the detector is fitted on them."""
    own = refs.records_of(cell.ref)
    others = [ref for ref in cell.inputs if ref.kind == "records" and ref != own]
    return _read(run, cell, own), _read(run, cell, others[0]) if others else None


def _read(run: Run, cell: Cell, records: Ref) -> Rows:
    features = refs.features(records)
    beside = np.load(run.path(features), mmap_mode="r") if features in cell.inputs else None
    return Rows(schema.read(run.path(records)), beside)
