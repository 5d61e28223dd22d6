"""Autoencoding: the network learns to give its images back; no label enters the code.

The loss is the squared error of pixels in [0, 1], summed over an image's pixels. A linear head learns the classes from
codes that are cut off from its gradient, so that records and `val_accuracy` tell how much of the class a code holds.

Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006.
"""

from typing import Any

import numpy.typing as npt
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop

TASKS = ("classification",)


class Options(declare.Options):
    epochs: fields.Epochs = 6
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.0


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    network = _loop.fresh_net(job)
    if not hasattr(network, "decode"):
        raise ModelError(f"model {job.model!r} makes no images of its code; autoencoding needs one")
    return dict(_loop.fit(job, network, loss).state_dict())


def loss(network: Any, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
    """The mean over the batch of the squared error of an image, and the head's cross-entropy."""
    seen = _loop.tensor(batch, network).float()
    code = network.features(seen)
    error: torch.Tensor = ((network.decode(code) - seen) / 255).square().flatten(1).sum(1).mean()
    return error + cross_entropy(network.head(code.detach()), labels)
