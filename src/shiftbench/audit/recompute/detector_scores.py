"""Detectors fitted again and scored again, from the records and features that a run kept."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.audit.case import Case
from shiftbench.audit.recompute.rerun import Rerun
from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.stages import score
from shiftbench.workflow.stages.detector_context import DetectorContext


def is_cheap(artifact: Artifact) -> bool:
    """Whether a detector's scores follow from records and features, without the network."""
    return "data" not in artifact.recipe


class Detector:
    """The detector of scores or of a search, with the recipe of its receipt and the run that makes it again."""

    def __init__(self, artifact: Artifact, run: Rerun) -> None:
        self.artifact, self.run, self.spec = artifact, run, artifact.recipe
        self.module = registry.find("detectors", self.spec["detector"]["use"])
        self._context = DetectorContext(run, "cpu")

    def rows(self, name: str) -> Rows:
        """Read the rows of some records."""
        return self._context.rows(self.artifact, name)

    def fitted(self, options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Fit the detector, with options in addition to those of the recipe; gives all options and the state."""
        whole = {**self.spec["detector"]["options"], **options}
        return whole, self._context.fitted(self.artifact, self.module, whole)

    def chosen(self) -> tuple[dict[str, Any], Any]:
        """Fit the detector with the options that its search chose; gives all options and the state."""
        return self.fitted(score.chosen_options(self.run, self.artifact))

    def scores(self, rows: Rows, options: dict[str, Any], state: Any) -> pa.Table:
        """Score rows."""
        return score.scored(self.module, options, rows, state)


def has_effect(case: Case, ref: Ref, points: list[str]) -> bool:
    """Whether any two points of a search, options as JSON, give a sample of ID val different scores."""
    artifact = case.plan.artifacts[ref]
    detector = Detector(artifact, Rerun(case, ref))
    rows = detector.rows(artifact.recipe["id"])
    first = None
    for point in points:
        scores = detector.scores(rows, *detector.fitted(json.loads(point))).column("score").to_numpy()
        if first is not None and not np.array_equal(first, scores):
            return True
        first = scores
    return False
