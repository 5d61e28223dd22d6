"""Adversarial training as the `robustness` package does it: the best point of projected gradient steps in L2 or Linf.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, equation (2.1);
Engstrom et al., "Robustness (Python Library)", 2019, https://github.com/MadryLab/robustness, whose defaults these are:
7 steps, no random start, the best iterate in the place of the last, attacked in evaluation mode. Its step is stated;
here it is 2.5 eps / steps unless `step` says another share of white. Move and schedule are those of `erm`, so that with
`eps: 0` it is `erm` under another name. `pgd` is the other recipe: a random start, the last point, Linf alone.
"""

from typing import Any

import numpy.typing as npt
import torch

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _adversary, _loop, erm

TITLE = "adversarial training"
TASKS = ("classification",)


class Options(erm.Options):
    norm: _adversary.Norm = "linf"
    eps: _adversary.Eps = 0.05
    steps: _adversary.Steps = 7
    step: _adversary.Step = None
    random_start: _adversary.RandomStart = False
    best: _adversary.Best = True


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    adversary = _adversary.Adversary(job.plugin, job.params)

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        attacked = adversary(network, seen, labels, rng)
        return cross_entropy(network(attacked), labels, job.params["smoothing"])

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())
