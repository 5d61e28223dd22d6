"""Empirical risk minimisation: cross-entropy on the train split, optional random shift and flip.

Source: Vapnik, "Principles of Risk Minimization", NeurIPS 1991; the schedule is Smith and Topin,
"Super-Convergence", 2018 (one cycle), unless `schedule` names another.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop

TASKS = ("classification", "text_classification", "visual_question")


class Options(declare.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    schedule: fields.Schedule = "one_cycle"
    smoothing: fields.Smoothing = 0.0
    shift: fields.Shift = 1
    flip: fields.Flip = False
    crops: fields.Crops = None


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        seen = move(batch, rng, job.params["shift"], flip=job.params["flip"])
        return cross_entropy(network(_loop.tensor(seen, network)), labels, job.params["smoothing"])

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())


def move(batch: npt.NDArray[Any], rng: RandomStream, shift: int, *, flip: bool) -> npt.NDArray[Any]:
    """Shift each image by up to `shift` pixels (edges repeated) and mirror every second one.

    Args:
        batch: (n, channels, h, w); whatever it is, where nothing is to be moved.
        rng: random words of this step.
        shift: largest shift in pixels; 0 leaves the images where they are.
        flip: mirror left to right with probability one half.
    """
    if not (shift or flip):
        return batch
    count, _, height, width = batch.shape
    if flip:
        mirrored = rng.uniform(count) < 0.5
        batch = np.where(mirrored[:, None, None, None], batch[..., ::-1], batch)
    if shift:
        dy, dx = rng.integers(-shift, shift + 1, count), rng.integers(-shift, shift + 1, count)
        rows = np.clip(np.arange(height) + dy[:, None], 0, height - 1)
        columns = np.clip(np.arange(width) + dx[:, None], 0, width - 1)
        each = np.arange(count)[:, None, None]
        moved = batch.transpose(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
        batch = moved.transpose(0, 3, 1, 2)
    return batch
