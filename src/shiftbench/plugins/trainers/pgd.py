"""Adversarial training: each step learns from its images after an attack by projected gradient descent.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, equation (2.1): the
loss is cross-entropy at the worst point of an L-infinity ball, found from a random start. They take 7 steps with eps
8/255 on CIFAR-10, 40 with eps 0.3 on MNIST. Differs: the network is attacked in evaluation mode (`_attack`), and a step
is 2.5 eps / steps unless `step` says another share of white. Move and schedule are those of `erm`.
"""

from typing import Any

import numpy.typing as npt
import torch

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _attack, _loop, erm

TITLE = "PGD training"
TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "epochs": 12,
    "batch_size": 128,
    "optimizer": "adamw",
    "lr": 0.004,
    "weight_decay": 0.05,
    "smoothing": 0.0,
    "shift": 1,
    "flip": False,
    "eps": 0.1,
    "steps": 7,
    "step": None,
}


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
