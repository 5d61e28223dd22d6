"""Do the options that a search tried change any score? Asked only where every point gave one AUROC."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench import plugins
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Cell
from shiftbench.refs import Ref
from shiftbench.stages.detector_context import Bench
from shiftbench.stages.score import scored


@dataclass(frozen=True, slots=True)
class _Place:
    """The part of a run that a bench asks for."""

    root: Path

    def path(self, ref: Ref) -> Path:
        return self.root / ref.path

    def inputs(self, cell: Cell) -> dict[Ref, Path]:
        return {ref: self.path(ref) for ref in cell.inputs}


def is_cheap(cell: Cell) -> bool:
    """Tell whether a detector's scores follow from what evaluation kept, without the net."""
    return "data" not in cell.recipe


def differ(root: Path, cell: Cell, points: list[str]) -> bool:
    """Tell whether any two of some points give a sample of ID val different scores.

    Args:
        root: the output root.
        cell: a search whose inputs are here.
        points: options as JSON, those that fit.

    Raises:
        ShiftbenchError, OSError: the detector cannot be used on what is here.
    """
    bench: Any = Bench(_Place(root), "cpu")  # type: ignore[arg-type]
    spec = cell.recipe
    detector = plugins.find("detectors", spec["detector"]["use"])
    rows = bench.rows(cell, spec["id"])
    first = None
    for point in points:
        options: recipe.Recipe = {**spec["detector"]["options"], **json.loads(point)}
        state = bench.fitted(cell, detector, options)
        scores = scored(detector, options, rows, state).column("score").to_numpy()
        if first is not None and not np.array_equal(first, scores):
            return True
        first = scores
    return False
