"""Stage score: detectors fitted and scored from records and features -> one OOD score per sample."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench import schema
from shiftbench.detectors._rows import Rows
from shiftbench.errors import ModelError


def score_cell(detector: ModuleType, params: dict[str, Any], rows: Rows, train: Rows | None = None) -> pa.Table:
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
    scores = np.asarray(detector.score(rows, state, options), dtype=np.float64) if len(rows) else np.zeros(0)
    _check(scores, rows, detector.__name__.rpartition(".")[2])
    return pa.table({"key": rows.table.column("key"), "score": scores}, schema=schema.SCORES.arrow)


def _check(scores: np.ndarray, rows: Rows, name: str) -> None:
    if scores.shape != (len(rows),):
        raise ModelError(f"detector {name}: expected {len(rows)} scores, one per sample, found shape {scores.shape}")
    if not np.isfinite(scores).all():
        at = int(np.argmin(np.isfinite(scores)))
        raise ModelError(f"detector {name}: the score of sample {rows.keys[at]!r} is {scores[at]}; a score must be finite")
