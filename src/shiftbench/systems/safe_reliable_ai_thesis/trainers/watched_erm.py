"""Empirical risk minimisation that logs, after each epoch, how training and validation answers differ.

It learns as `erm` does; the log says where calibration overfits (analyses/overfitting.py).

Source: trainers/erm.py; what is watched: _watching.py.
"""

from typing import Any

import numpy.typing as npt
import torch

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop, erm
from shiftbench.systems.safe_reliable_ai_thesis.trainers import _watching

TASKS = ("classification",)
PARAMS: dict[str, object] = {**erm.PARAMS, "warmup": 0.0}


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last epoch."""

    def loss(net: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        return cross_entropy(net(_loop.tensor(seen, net)), labels, job.params["smoothing"])

    net = _loop.fit(job, _loop.fresh_net(job), loss, validate=_watching.watch(job))
    return dict(net.state_dict())
