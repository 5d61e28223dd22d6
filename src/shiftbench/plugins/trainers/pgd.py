"""Adversarial training: each step learns from its images after an attack by projected gradient descent.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, equation (2.1): the
loss is cross-entropy at the worst point of an L-infinity ball, found from a random start. They take 7 steps with eps
8/255 on CIFAR-10, 40 with eps 0.3 on MNIST. Differs: the network is attacked in evaluation mode (`_attack`), and a step
is 2.5 eps / steps unless `step` says another share of white. Move and schedule are those of `erm`.
"""

from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _attack, _loop, erm

TITLE = "PGD training"
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
    eps: float = Field(0.1, ge=0, description="radius of the L-infinity ball, as a share of white")
    steps: int = Field(7, ge=1, description="steps of the attack")
    step: float | None = Field(None, gt=0, description="size of a step, as a share of white; null: 2.5 eps / steps")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    attack = _attack.Attack(job.plugin, job.params)

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        attacked = attack(network, seen, labels, rng)
        return cross_entropy(network(attacked), labels, job.params["smoothing"])

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())
