"""Do the options that a search tried change any score? Asked only where every point gave one AUROC."""

import json

import numpy as np

from shiftbench.audit.case import Case
from shiftbench.audit.recompute import rerun
from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.stages.detector_context import DetectorContext
from shiftbench.workflow.stages.score import scored


def is_cheap(artifact: Artifact) -> bool:
    """Tell whether a detector's scores follow from what evaluation kept, without the net."""
    return "data" not in artifact.recipe


def differ(case: Case, ref: Ref, points: list[str]) -> bool:
    """Tell whether any two of some points give a sample of ID val different scores.

    Args:
        case: what is audited.
        ref: a search that is here with its inputs.
        points: options as JSON, those that fit.

    Raises:
        ShiftbenchError, OSError: the detector cannot be used on what is here.
    """
    artifact, context = case.plan.artifacts[ref], DetectorContext(rerun.Rerun(case, ref), "cpu")
    spec = artifact.recipe
    detector = registry.find("detectors", spec["detector"]["use"])
    rows = context.rows(artifact, spec["id"])
    first = None
    for point in points:
        options = {**spec["detector"]["options"], **json.loads(point)}
        state = context.fitted(artifact, detector, options)
        scores = scored(detector, options, rows, state).column("score").to_numpy()
        if first is not None and not np.array_equal(first, scores):
            return True
        first = scores
    return False
