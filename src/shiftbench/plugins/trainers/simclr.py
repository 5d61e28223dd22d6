"""SimCLR: pre-training without labels; two views of an image should be alike, and unlike those of other images.

Source: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", ICML
(https://arxiv.org/abs/2002.05709), section 2 and appendix B.9 for small images: temperature 0.5, a projection of two
layers that is thrown away, features before it. Differs: AdamW and small batches instead of LARS and large ones.

Labels are not looked at, and `head` stays as it was drawn: for a probe to replace. The log has as `val_accuracy` the
share of val views that find their twin among all views of a batch.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.self_supervised import nt_xent
from shiftbench.plugins.trainers import _loop, _projected, _views

TASKS = ("classification",)


class Options(_views.Options):
    epochs: fields.Epochs = 30
    batch_size: fields.BatchSize = 256
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 1e-4
    schedule: fields.Schedule = "one_cycle"
    projection: _projected.Projection = 64
    temperature: float = Field(0.5, gt=0, description="temperature of the softmax over cosines")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch, without the projection."""
    network = _projected.Projected(_loop.fresh_net(job), job.params["projection"])

    def both(network: nn.Module, batch: npt.NDArray[Any], rng: RandomStream) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = _loop.tensor(np.concatenate([batch, batch]), network)
        places = network(_views.augment(pairs, rng, job.params))
        return places[: len(batch)], places[len(batch) :]

    def loss(network: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        one, other = both(network, batch, rng)
        return nt_xent(one, other, job.params["temperature"])

    inputs, _ = _loop.data(job, "val")
    held = inputs[: job.params["batch_size"]]

    def twins(network: nn.Module) -> float:
        network.eval()
        with torch.inference_mode():
            one, other = both(network, held, RandomStream(job.seed, "simclr", job.dataset, "val"))
        return float((one @ other.T).argmax(1).eq(torch.arange(len(one))).double().mean())

    _loop.fit(job, network, loss, validate=twins)
    return dict(network.inner.state_dict())
