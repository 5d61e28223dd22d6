"""A classifier whose features also tell by how many quarter turns its image was rotated.

    L = CE(f(x), y) + weight x mean over x turned by 0, 90, 180 and 270 degrees of CE(r(z), turns)

r is a linear layer on the penultimate features z, which is dropped after training.

Source: Hendrycks et al., "Using Self-Supervised Learning Can Improve Model Robustness and Uncertainty", NeurIPS 2019,
section 5; as MixOE (Zhang et al., WACV 2023) compares with it: scored by MSP of the upright image alone.
"""

from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import rng
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop, erm, finetune

TASKS = ("classification",)
TURNS = 4
needs = finetune.needs


class Options(declare.Options):
    start: finetune.Start = "erm"
    epochs: fields.Epochs = 3
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "sgd"
    lr: fields.LearningRate = 0.01
    schedule: fields.Schedule = "cosine"
    weight_decay: fields.WeightDecay = 0.00001
    statistics: finetune.Statistics = "learnt"
    shift: fields.Shift = 1
    flip: fields.Flip = False
    crops: fields.Crops = None
    weight: float = Field(0.5, ge=0, description="weight of the loss on the number of turns")


class Turned(nn.Module):
    """A network with a second head, for the number of quarter turns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.net = network
        self.turns = nn.Linear(network.get_submodule("head").in_features, TURNS)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's logits."""
        logits: torch.Tensor = self.net(x)
        return logits

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of x, and those of the turns of x at all four, in the order of `turned`."""
        features = self.net.features(turned(x))  # type: ignore[operator]
        return self.net.head(features[: len(x)]), self.turns(features)  # type: ignore[operator]


def turned(images: torch.Tensor) -> torch.Tensor:
    """The images (n, c, side, side) turned by 0, 90, 180 and 270 degrees, (4 n, c, side, side)."""
    return torch.cat([torch.rot90(images, turns, (-2, -1)) for turns in range(TURNS)])


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the network after the last epoch, without the second head."""
    start = finetune.begin(job)
    torch.manual_seed(rng.derive(job.seed, job.model, "turns"))
    network = Turned(start)
    weight: float = job.params["weight"]

    def loss(_: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        logits, turns = network.both(_loop.tensor(seen, network))
        truth = torch.arange(TURNS, device=turns.device).repeat_interleave(len(batch))
        return cross_entropy(logits, labels) + weight * cross_entropy(turns, truth)

    _loop.fit(job, network, loss, finetune.mode(job.params["statistics"]))
    return dict(network.net.state_dict())
