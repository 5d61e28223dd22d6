"""Fine-tuning of low-rank adapters on one phrasing, whatever the loss: batches, checkpoints, the log.

Which questions a step sees is told by (seed, dataset, step) alone, so
that the arms of a seed see the same in the same order and differ by their losses; adapters begin alike, too.

Without `match` the weights are those of the last step. With it training ends at the first checkpoint, every `every`
steps, whose accuracy on val is `match` or more, and the weights are those of the checkpoint that is nearest to it: so
two arms are compared where they are equally good in distribution. The log has `train_loss`, at each checkpoint
`val_accuracy`, and at the end `step` and `matched` of the weights that are kept.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import rng
from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _steps
from shiftbench.systems.spatial_vlm_cot_grpo.trainers import _asked
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._adapters import Adapters
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._asked import Asked

needs = _steps.needs
Loss = Callable[[Any, Adapters, Asked, torch.Tensor, RandomStream], torch.Tensor | None]
"""(net, its adapters, questions, rows of them, random words) -> a scalar; None: there is nothing to learn."""


class Options(declare.Options):
    start: _steps.Start = "spatial_scenes/patch_decoder-spatial_base"
    steps: _steps.Steps = 120
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.001
    weight_decay: fields.WeightDecay = 0.01
    gradient_norm: float = Field(1.0, gt=0, description="largest norm of the gradient; a longer one is shortened")
    rank: int = Field(8, ge=1, description="rank of an adapter")
    alpha: float = Field(16.0, gt=0, description="scale of an adapter, times its rank")
    match: float = Field(0.0, ge=0, le=1, description="accuracy on val at which training ends; 0: after the last step")
    every: int = Field(10, ge=1, description="steps between two checkpoints")


def fit(job: TrainJob, loss: Loss) -> nets.State:
    """The state dict with the adapters merged.

    Raises:
        ModelError: a loss is not finite.
    """
    params = job.params
    model: Any = _steps.begun(job).to(nets.pick_device(job.device)).eval()
    torch.manual_seed(rng.derive(job.seed, job.model, "adapters"))
    adapters = Adapters(model, params["rank"], params["alpha"])
    train, val = (_direct(job, split) for split in ("train", "val"))
    update, losses = _loop.optimiser(job, model), []
    best = _Checkpoint(job, params["match"])
    for step in range(1, params["steps"] + 1):
        words = RandomStream(job.seed, "spatial_tuning", job.dataset, f"{step}")
        questions, rows = _asked.random_batch(train, params["batch_size"], words)
        value = loss(model, adapters, questions, rows, words)
        if value is not None:
            if not value.isfinite():
                raise ModelError(f"{job.trainer}: the loss is not finite; lower `lr`")
            update.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(
                [parameter for parameter in model.parameters() if parameter.requires_grad], params["gradient_norm"]
            )
            update.step()
            losses.append(value.item())
        if step % params["every"] == 0 or step == params["steps"]:
            job.log(step, "train_loss", float(np.mean(losses)) if losses else 0.0)
            losses = []
            if params["match"] or step == params["steps"]:
                best.offer(step, _asked.accuracy(model, val), adapters)
            if best.reached:
                break
    return best.logged_state()


def _direct(job: TrainJob, split: str) -> list[Asked]:
    samples = job.samples(split)
    if not samples:
        return []
    return _asked.prepared(job, samples, [one.fields["meta"]["answer"] for one in samples])


class _Checkpoint:
    """The weights that are kept: the nearest to what is matched, else the last."""

    def __init__(self, job: TrainJob, match: float) -> None:
        self.job, self.match = job, match
        self.state: nets.State = {}
        self.best = (float("inf"), 0, float("nan"))
        self.reached = False

    def offer(self, step: int, accuracy: float, adapters: Adapters) -> None:
        """Log the accuracy on val of a step, and keep its weights if they are nearer."""
        self.job.log(step, "val_accuracy", accuracy)
        distance = abs(accuracy - self.match)
        self.reached = bool(self.match) and accuracy >= self.match
        if not self.match or distance < self.best[0] or not self.state:
            self.best, self.state = (distance, step, accuracy), adapters.state()

    def logged_state(self) -> nets.State:
        """Log which it is, and return it."""
        self.job.log(self.job.params["steps"], "step", self.best[1])
        self.job.log(self.job.params["steps"], "matched", self.best[2])
        return self.state
