"""Variational autoencoding: the model gives its images back from a code with noise, and codes are pulled to a normal.

    loss = sum over pixels of (image - picture)^2, pixels in [0, 1]  +  beta KL(q(code | image) || N(0, 1))

A linear head learns the classes from codes that are cut off from its gradient, as in `autoencoding`.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, arXiv:1312.6114, equation 10; beta is that of
Higgins et al., "beta-VAE", ICLR 2017. Differs: squared errors, the likelihood of a normal with a fixed variance.
"""

from functools import partial
from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop

TASKS = ("classification",)


class Options(declare.Options):
    epochs: fields.Epochs = 8
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 0.0
    beta: float = Field(0.5, ge=0, description="weight of the codes' divergence from a normal distribution")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch.

    Raises:
        ModelError: the model's codes have no spread.
    """
    model = _loop.fresh_net(job)
    if not hasattr(model, "spread"):
        raise ModelError(f"variational trains codes with a spread; those of {job.model!r} have none")
    return dict(_loop.fit(job, model, partial(loss, beta=job.params["beta"])).state_dict())


def loss(model: Any, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream, beta: float) -> torch.Tensor:
    """The mean over the batch of error and divergence of an image, and the head's cross-entropy."""
    images = _loop.tensor(batch, model).float()
    mean, log_variance = model.spread(images)
    noise = torch.from_numpy(rng.normal(tuple(mean.shape))).to(mean)
    decoded = model.decode(mean + (log_variance / 2).exp() * noise)
    error: torch.Tensor = ((decoded - images) / 255).square().flatten(1).sum(1).mean()
    kl = divergence(mean, log_variance).mean()
    return error + beta * kl + cross_entropy(model.head(mean.detach()), labels)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each code, (n,); means and log-variances (n, d)."""
    return (log_variance.exp() + mean.square() - 1 - log_variance).sum(1) / 2
