"""NAME: mixup, training on convex pairs of images and of their labels.

Source: Zhang, Cisse, Dauphin and Lopez-Paz 2018, https://arxiv.org/abs/1710.09412. Differs: the
weight of a pair is uniform in [0, `most`], not drawn from a beta distribution.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop

TASKS = ("classification",)  # others are refused by the plan


class Options(declare.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    most: float = Field(0.5, ge=0, le=1, description="largest weight of the other image of a pair")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""

    def loss(model: torch.nn.Module, batch: NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        share = float(rng.uniform()) * job.params["most"]
        other = rng.choice(len(batch))
        mixed = (1 - share) * batch + share * batch[other]
        logits = model(_loop.tensor(mixed.astype(np.float32), model))
        own, others = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[other])
        mean: torch.Tensor = (1 - share) * own + share * others
        return mean

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())
