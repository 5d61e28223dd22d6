"""Training with noise: Gaussian noise is added to every image, of a deviation drawn for each.

Source: Rusak et al., "A simple way to make neural networks robust against diverse image corruptions", ECCV 2020
(Gaussian noise training; there half of a batch stays clean, and the deviation is fixed or one of ImageNet-C's five).
Differs: here the deviation is uniform from 0 to `sigma` for each image. Move and schedule are those of `erm`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _attack, _loop, erm

TASKS = ("classification",)


class Options(declare.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    smoothing: fields.Smoothing = 0.0
    shift: fields.Shift = 1
    flip: fields.Flip = False
    sigma: float = Field(0.3, ge=0, description="largest standard deviation of the noise, as a share of white")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch; `sigma` is a share of white."""

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        black, white = (end.numpy() for end in _attack.limits(job.plugin, seen))
        noisy = noise(seen, rng, job.params["sigma"] * (white - black))
        logits = network(_loop.tensor(np.clip(noisy, black, white), network))
        return cross_entropy(logits, labels, job.params["smoothing"])

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())


def noise(batch: npt.NDArray[Any], rng: RandomStream, sigma: Any) -> npt.NDArray[np.float32]:
    """The images with normal noise of a deviation uniform in 0 to sigma each, float32, not clipped."""
    each = rng.uniform((len(batch),) + (1,) * (batch.ndim - 1))
    noisy: npt.NDArray[np.float32] = batch + each * sigma * rng.normal(batch.shape)
    return noisy.astype(np.float32)
