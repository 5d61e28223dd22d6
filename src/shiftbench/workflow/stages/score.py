"""Stage score: detectors fitted, searched and scored from what evaluation kept -> one OOD score per sample.

One process makes all scores of one (weights, method): what several detectors read is read once, and each detector is
fitted once. No forward pass is made but by detectors that need gradients or inner layers (`net`).
"""

import json
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.files import scratch
from shiftbench.base.progress import track
from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.stages.detector_context import DetectorContext


def score_cell(detector: ModuleType, params: dict[str, Any], rows: Rows, known: Known | None = None) -> pa.Table:
    """Fit a detector and return its scores of one artifact.

    Args:
        detector: the detector's file.
        params: its options; missing ones have their defaults.
        rows: of the artifact, with what its NEEDS name.
        known: what it is fitted on, with the splits that its FIT names.

    Returns:
        Key and score (float64, higher = more OOD), in the order of the records; format SCORES.

    Raises:
        ModelError: a score is not finite, or there is not one per sample; names the sample.
        ParamsError, DataError: what the detector needs is not there, or is not enough.
    """
    options = {**detector.PARAMS, **params}
    return scored(detector, options, rows, detector.fit(known or Known(), options))


def scored(detector: ModuleType, options: dict[str, Any], rows: Rows, state: Any) -> pa.Table:
    """Return the scores of a fitted detector, as `score_cell` does."""
    scores = np.asarray(detector.score(rows, state, options), dtype=np.float64) if len(rows) else np.zeros(0)
    _check(scores, rows, registry.called(detector))
    return pa.table({"key": rows.table.column("key"), "score": scores}, schema=formats.SCORES.arrow)


def _check(scores: np.ndarray, rows: Rows, name: str) -> None:
    if scores.shape != (len(rows),):
        raise ModelError(f"detector {name}: expected {len(rows)} scores, one per sample, found shape {scores.shape}")
    if not np.isfinite(scores).all():
        at = int(np.argmin(np.isfinite(scores)))
        raise ModelError(f"detector {name}: the score of sample {rows.keys[at]!r} is {scores[at]}; it must be finite")


def run(run: Run, context: DetectorContext) -> None:
    """Make the scores of one (weights, method) that are stale."""
    for artifact in track(run.todo(), run.job.name):
        if artifact.ref.kind == "scores":
            _score(run, artifact, context)


def _score(run: Run, artifact: Artifact, context: DetectorContext) -> None:
    detector = registry.find("detectors", artifact.recipe["detector"]["use"])
    options = {**artifact.recipe["detector"]["options"], **chosen_options(run, artifact)}
    state = context.fitted(artifact, detector, options)
    table = scored(detector, options, context.rows(artifact, artifact.recipe["rows"]), state)
    output = run.path(artifact.ref)
    run.note(images_seen_again=context.seen_again)
    with scratch(output) as temporary:
        schema.write(table, temporary, artifact.fingerprint, formats.SCORES)
        run.commit(artifact, {output.name: temporary})


def chosen_options(run: Run, artifact: Artifact) -> dict[str, Any]:
    """Return the options that a search chose."""
    if "search" not in artifact.recipe:
        return {}
    table = schema.read(run.path(Ref("searches", artifact.recipe["search"])), form=formats.SEARCHES)
    (chosen,) = [row["options"] for row in table.to_pylist() if row["chosen"]]
    found: dict[str, Any] = json.loads(chosen)
    return found
