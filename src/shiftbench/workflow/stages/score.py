"""Stage score: records and features -> one OOD score per sample and detector.

One process makes all scores of one model and method, so that it reads each file once and fits each detector once. Only
detectors that need gradients or inner layers (`net`) make forward passes.
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
    """Fit a detector and compute its scores of one set of records.

    Args:
        detector: the plugin.
        params: its options; missing options have their defaults.
        rows: the records, with the data that its NEEDS name.
        known: the rows that it is fitted on, with the splits that its FIT names.

    Returns:
        Key and score (float64, higher = more OOD), in the order of the records; format SCORES.

    Raises:
        ModelError: a score is not finite or missing; the message names the sample.
        ParamsError, DataError: the detector's input is missing or too small.
    """
    options = {**registry.defaults(detector), **params}
    return scored(detector, options, rows, detector.fit(known or Known(), options))


def scored(detector: ModuleType, options: dict[str, Any], rows: Rows, state: Any) -> pa.Table:
    """Scores of a fitted detector, in the format of `score_cell`."""
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
    """Write the stale scores of one model and method."""
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
    """The options that a search chose; empty without a search."""
    if "search" not in artifact.recipe:
        return {}
    table = schema.read(run.path(Ref("searches", artifact.recipe["search"])), form=formats.SEARCHES)
    (chosen,) = [row["options"] for row in table.to_pylist() if row["chosen"]]
    options: dict[str, Any] = json.loads(chosen)
    return options
