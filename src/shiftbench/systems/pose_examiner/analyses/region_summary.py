"""Summary of the searches of PoseExaminer, model by model.

    analyses:
      region_summary: {searches: {blazepose: [examiner, random_search], heatmap_net: [examiner]}, searchers: 10}

Rows are of the weights `MODEL-TRAINER-sN`, N the searcher, so that a mean over seeds is one over searchers and a t
interval is of new searchers. Of all searchers: `region_error`, mean error of poses of the region (a unit is a pose);
`prior_error`, that of as many poses of the prior; `centre_error`, at the pose that the first phase ended with;
`success`, whether the region's size exceeds `size`; `region_size`, ||h + l|| in radians; `evaluations`, pictures
looked at before the region was measured; `missed`, persons not found. Of searchers that succeeded alone, as in the
paper, in the group `successful`: `region_error`, `region_size`, `easy_share`, the share of poses with an error below
the threshold, and `error_min`, `error_median`, `error_max` over the poses.

The default of `size` is 0.6 sqrt(16 / 63): the paper's 0.6 for 63 coordinates, for as wide a box in ours.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`test_final.py`, `run_mmhuman.py`).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

Tensors = Mapping[str, NDArray[Any]]
SUCCESSFUL = "successful"


class Options(declare.Options):
    searches: dict[str, list[str]] = Field(
        {"blazepose": ["examiner", "random_search"], "heatmap_net": ["examiner", "random_search", "cma_search"]},
        description="trainers that searched for failures of each model",
    )
    searchers: int = Field(10, ge=1, description="number of searchers of each, whose seeds count from 0")
    threshold: float = Field(0.1, ge=0, description="error below which a pose is easy, in torsos")
    size: float = Field(
        0.6 * math.sqrt(16 / 63), ge=0, description="size of a region above which a search succeeded, in radians"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints of the searchers."""
    return [
        refs.checkpoint(params["dataset"], model, trainer, number)
        for model, trainers in params["searches"].items()
        for trainer in trainers
        for number in range(params["searchers"])
    ]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the summary of each searcher."""
    for ref in needs(job.params):
        search = safetensors.numpy.load_file(job.inputs[ref])
        yield from of_searcher(search, ref.name, job.params)


def of_searcher(search: Tensors, name: str, params: Mapping[str, Any]) -> Iterator[Observation]:
    """Yield the summary of what one searcher found.

    Args:
        search: tensors of `trainers/_pose_search.py`.
        name: of its weights.
        params: `threshold`, `size`, and `dataset`, which rows are of.
    """
    size = float(np.linalg.norm(search["high"] - search["low"]))
    centre, first, second, missed = search["found"].tolist()
    success = size > params["size"]
    summary = {
        "centre_error": centre,
        "success": float(success),
        "region_size": size,
        "evaluations": first + second,
        "missed": missed / len(search["errors"]),
    }

    def observation(metric: str, value: float, key: str = "searcher", group: str | None = None) -> Observation:
        return Observation(metric, key, float(value), name, params["dataset"], group=group)

    yield from (observation(metric, value) for metric, value in summary.items())
    for metric in ("errors", "prior_errors"):
        for number, error in enumerate(search[metric]):
            yield observation(f"{NAMES[metric]}", error, f"{name}/{number:06d}")
    if not success:
        return
    errors = search["errors"]
    for metric, value in (
        *(("region_size", size), ("error_min", errors.min())),
        *(("error_median", np.median(errors)), ("error_max", errors.max())),
    ):
        yield observation(metric, value, group=SUCCESSFUL)
    for number, error in enumerate(errors):
        key = f"{name}/{number:06d}"
        yield observation("region_error", error, key, SUCCESSFUL)
        yield observation("easy_share", error < params["threshold"], key, SUCCESSFUL)


NAMES = {"errors": "region_error", "prior_errors": "prior_error"}
