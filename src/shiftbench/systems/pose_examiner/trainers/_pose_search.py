"""PoseExaminer: a searcher looks for a pose at which a model errs, and grows a region of such poses around it.

One training is one searcher, and its seed the searcher's number; the weights that come out are what it found, so a
search that was killed goes on with the searchers that have none yet. What is tested are the weights `tested[MODEL]`
of the same dataset, with the seed `tested_seed`. An error is that of `joint_error`: mean over arms and legs, in
torsos, 1 for a person that was not found; bodies are on white (`datasets/_examined.py`).

1. `searcher` (`trainers/_searchers.py`) looks at no more than `points` points of the prior, one picture each.
   `reinforce` stops before when it looked at more than 20 and the smallest error of the last `recent` exceeds
   `threshold` + `margin`; the others have their whole budget. The pose found is the centre; where the model errs
   there by less than the threshold, the searcher is given up and its box stays as small as it was.
2. The box grows (`trainers/_regions.py`).
3. `samples` poses of the box, and as many of the prior, are measured.

Tensors: `latent` (16,) and `centre`, `low`, `high` (16,) in radians; `samples` (n, 16) and `errors` (n,);
`prior_errors` (n,); `found` (4,): the error at the centre, evaluations in both phases, persons not found among the
samples. The log has the errors of phase 1, and of each iteration of phase 2 the smallest error, the width of the
shell, the faces moved, the size.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`train_advTesting.py`, `test_advTesting.py`). Differs: errors in torsos of joints in the picture in both phases (there
pixels, then millimetres in space); the pose of the mean is the centre (the code draws the centre again in each
iteration); the searcher that ends below the threshold is given up whenever it ends (the code: after more than 100
points).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.tasks import keypoints
from shiftbench.plugins.tasks._classes import LabelSpace
from shiftbench.plugins.trainers import _regions, _searchers
from shiftbench.systems.pose_examiner.datasets import _examined

Floats = NDArray[np.float64]
TASKS = ("keypoints",)
READS_SOURCES = True  # what the tested model reads
AT_LEAST = 20
LIMITS = _regions.Limits(_examined.LOW, _examined.HIGH)
PRIOR = _regions.Prior(LIMITS, _examined.plausible)
BATCH = 20


class Options(declare.Options):
    tested: dict[str, str] = Field(
        {"heatmap_net": "poses", "blazepose": "pretrained"}, description="model -> trainer whose checkpoint is searched"
    )
    tested_seed: int = Field(0, ge=0, description="training seed of that checkpoint")
    searcher: Literal["reinforce", "random", "cma"] = Field("reinforce", description="method of the first phase")
    points: int = Field(300, ge=1, description="points of the prior that the first phase looks at, at most")
    recent: int = Field(10, ge=1, description="last points by which `reinforce` stops early")
    threshold: float = Field(0.1, ge=0, description="error from which a pose is a failure, in torsos")
    margin: float = Field(0.01, ge=0, description="excess over `threshold` of recent errors at which `reinforce` stops")
    half: float = Field(0.03, gt=0, description="half the side of the first box, in radians")
    iterations: int = Field(300, ge=0, description="iterations in which a box grows, at most")
    redraw: int = Field(3, ge=1, description="iterations after which the tested faces are drawn again")
    faces: int = Field(5, ge=1, description="faces of the box that are tested in an iteration")
    poses: int = Field(10, ge=1, description="poses that are tested at a face")
    slow: float = Field(
        0.105, ge=0, description="error at which the shell by which a box grows is narrowest, in torsos"
    )
    fast: float = Field(0.13, ge=0, description="error at which that shell is widest, in torsos")
    samples: int = Field(200, ge=1, description="poses of the box, and of the prior, that are measured at the end")
    height: int = Field(192, ge=32, le=4096, description="height of a picture, in pixels")
    width: int = Field(144, ge=32, le=4096, description="width of a picture, in pixels")
    share: float = Field(
        0.85, ge=0.1, le=0.95, description="size of the body, as a share of the picture's side that it fills more"
    )


def tested_checkpoint(params: Mapping[str, Any]) -> Ref:
    """The checkpoint that is tested.

    Raises:
        ParamsError: `tested` does not name the trainer of the model's weights.
    """
    trainer = params["tested"].get(params["model"])
    if trainer is None:
        raise ParamsError(
            f"pose_search: tested names no trainer of {params['model']!r}; it has {', '.join(params['tested'])}"
        )
    return refs.checkpoint(params["dataset"], params["model"], trainer, params["tested_seed"])


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoint that is tested."""
    return [tested_checkpoint(params)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Result of one searcher: its latent, region, and errors."""
    model, params = Tested(job), job.params
    words = RandomStream(job.seed, "pose_search", job.dataset, "points")
    searcher = _searchers.searcher(params["searcher"], _examined.DIMS, words, _examined.BOUND)
    point_errors = _searchers.search(
        searcher,
        lambda latent: float(model.errors(_examined.decode(latent)[None])[0]),
        params["points"],
        lambda errors: params["searcher"] == "reinforce" and enough(errors, params),
    )
    latent = searcher.best()
    region = _regions.Region.around(_examined.decode(latent), params["half"], LIMITS)
    centre = float(model.errors(region.centre[None])[0])
    steps: list[_regions.Step] = []
    if centre >= params["threshold"]:
        words = RandomStream(job.seed, "pose_search", job.dataset, "region")
        region, steps = _regions.grow(region, model.errors, PRIOR, growth(params), centre, words)
    _log(job, point_errors, steps)
    evaluations = (len(point_errors), len(steps) * min(params["faces"], 2 * _examined.DIMS) * params["poses"])
    return {
        "latent": torch.from_numpy(latent),
        "centre": torch.from_numpy(region.centre),
        "low": torch.from_numpy(region.low),
        "high": torch.from_numpy(region.high),
        **sampled_errors(job, model, region, (centre, *evaluations)),
    }


def enough(errors: Sequence[float], params: Mapping[str, Any]) -> bool:
    """Whether the first phase may end."""
    last = errors[-params["recent"] :]
    return len(errors) > AT_LEAST and min(last) > params["threshold"] + params["margin"]


def growth(params: Mapping[str, Any]) -> _regions.Growth:
    """The constants of the second phase."""
    width = _regions.Width(params["slow"], params["fast"])
    constants = {name: params[name] for name in ("threshold", "iterations", "redraw", "faces", "poses")}
    return _regions.Growth(width=width, **constants)


def sampled_errors(
    job: TrainJob, model: Tested, region: _regions.Region, centre_and_counts: tuple[float, int, int]
) -> dict[str, torch.Tensor]:
    """Poses of the region and their errors, and those of as many poses of the prior."""
    count = job.params["samples"]
    words = RandomStream(job.seed, "pose_search", job.dataset, "samples")
    samples = region.drawn(words, count)
    words = RandomStream(job.seed, "pose_search", job.dataset, "prior")
    prior = np.array([_examined.from_prior(words) for _ in range(count)])
    errors = model.errors(samples)
    missed_count = float(model.missed)
    return {
        "samples": torch.from_numpy(samples),
        "errors": torch.from_numpy(errors),
        "prior_errors": torch.from_numpy(model.errors(prior)),
        "found": torch.tensor([*centre_and_counts, missed_count], dtype=torch.float64),
    }


def _log(job: TrainJob, errors: Sequence[float], steps: Sequence[_regions.Step]) -> None:
    for number, error in enumerate(errors):
        job.log(number, "point_error", error)
    for number, step in enumerate(steps):
        for name, value in step._asdict().items():
            job.log(number, name, value)


class Tested:
    """The model that is tested.

    Attributes:
        missed: persons that were not found, of the last poses.
    """

    def __init__(self, job: TrainJob) -> None:
        weights = next(path for ref, path in job.inputs.items() if ref.kind == "checkpoints")
        classes = nets.classes_of(weights)
        self._predict = nets.load_predictor(
            job.plugin, weights, job.model_params, classes, job.device, inputs=job.inputs
        )
        self._space = LabelSpace(tuple(classes), job.classes)
        self._size = job.params["height"], job.params["width"]
        self._share, self.missed = job.params["share"], 0

    def errors(self, poses: Floats) -> Floats:
        """The error of the model at each of poses (n, 16), float64 (n,)."""
        limb_means: list[float] = []
        self.missed = 0
        for start in range(0, len(poses), BATCH):
            samples = [
                _examined.plain(f"pose/{number:06d}", pose, self._size, self._share)
                for number, pose in enumerate(poses[start : start + BATCH])
            ]
            rows = keypoints.rows(samples, self._predict(samples), self._space, "full")
            limb_means += [limb_errors[0] / 1e9 for limb_errors in rows["limb_errors_e9"].to_pylist()]
            self.missed += sum(limb_errors[0] for limb_errors in rows["missed"].to_pylist())
        return np.array(limb_means)
