"""Stage score, searches: a grid search of a detector's options on validation OOD.

The criterion is the AUROC of ID val against validation OOD, the mean over sets. The first of equal points wins, as in
OpenOOD v1.5's APS. A point whose options cannot be used, for example more neighbours than samples, is recorded with
the reason. A search depends on `overlaps`, the proof that no validation sample is a test sample.
"""

import itertools
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.files import scratch
from shiftbench.data import formats, schema
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.metrics.ood_detection import auroc
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.statistics import search_tables
from shiftbench.statistics.thresholds import Sides
from shiftbench.workflow.stages.detector_context import DetectorContext
from shiftbench.workflow.stages.score import scored


def run(run: Run, artifact: Artifact, context: DetectorContext) -> None:
    """Search the options of one detector on one model and method."""
    spec = artifact.recipe
    detector = registry.find("detectors", spec["detector"]["use"])
    clean = context.rows(artifact, spec["id"])
    ood = [context.rows(artifact, name) for name in spec["ood"]]

    def try_out(options: dict[str, Any]) -> float:
        return separation(detector, options, context.fitted(artifact, detector, options), clean, ood)

    rows = searched(spec["detector"]["options"], spec["grid"], try_out, artifact.ref.name)
    table = pa.Table.from_pylist(
        [{**row, "n_id": len(clean), "n_ood": sum(map(len, ood))} for row in rows], schema=formats.SEARCHES.arrow
    )
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        schema.write(table, temporary, artifact.fingerprint, formats.SEARCHES)
        run.commit(artifact, {output.name: temporary}, {"effect": search_tables.effect(rows)})


def separation(detector: ModuleType, options: dict[str, Any], state: Any, clean: Rows, ood: Sequence[Rows]) -> float:
    """Mean AUROC of the OOD sets against the clean rows."""
    id_scores = scored(detector, options, clean, state).column("score").to_numpy()
    areas = []
    for rows in ood:
        ood_scores = scored(detector, options, rows, state).column("score").to_numpy()
        ones = [np.ones((len(scores), 1), np.uint8) for scores in (id_scores, ood_scores)]
        areas.append(float(auroc(Sides.of_ood(id_scores, ood_scores, *ones))[0]))
    return float(np.mean(areas))


def searched(fixed: dict[str, Any], grid: dict[str, list[Any]], try_out: Any, name: str) -> list[dict[str, Any]]:
    """Try every point of a grid.

    Args:
        fixed: options that are not searched.
        grid: values of those that are.
        try_out: options -> AUROC; a ParamsError means that they cannot be used.
        name: name of the search, for messages.

    Returns:
        One row per point: number, options (JSON), auroc (None if it cannot be used), reason, chosen.

    Raises:
        ParamsError: no point can be used.
    """
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(grid_points(grid)):
        row = {"number": number, "options": recipe.canonical(point), "auroc": None, "reason": None}
        try:
            area = try_out({**fixed, **point})
            row["auroc"] = None if np.isnan(area) else area
        except ParamsError as error:
            row["reason"] = str(error)
        rows.append(row)
    usable = [row for row in rows if row["auroc"] is not None]
    if not usable:
        raise ParamsError(f"{name}: no point of the grid {grid} can be used: {rows[0]['reason']}")
    best = max(usable, key=lambda row: row["auroc"])  # the first of equals
    return [{**row, "chosen": row is best} for row in rows]


def grid_points(grid: dict[str, list[Any]]) -> Iterable[dict[str, Any]]:
    """Yield every combination of a grid; the last option changes fastest."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))
