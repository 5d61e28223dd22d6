"""CIDER: one prototype for every class on the unit sphere, samples near their own and prototypes far apart.

Source: Ming et al. 2023, "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?", ICLR,
arXiv:2203.04450; deeplearning-wisc/cider. CIFAR-100 there: ResNet-34, 500 epochs of batches of 512 images, two views of
each, `lr` 0.5, `weight_decay` 1e-4, `momentum` 0.5 (CIFAR-10: 0.95), `dispersion` 2; scored by KNN.

Prototypes begin as the mean places of the classes and follow sample after sample, each step normalised; the gradient of
the dispersion reaches the net through the samples of the step. The compactness is the likelihood of the own prototype:
`losses/palm_mle.py` with one prototype for each class.

Differs: a cosine schedule with warm-up, where the released code divides the rate by 10 at epochs 100, 150 and 180;
biases and norms are not decayed. `head` is a linear probe, as in `palm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.contracts import TrainJob
from shiftbench.rng import RandomStream
from shiftbench.systems.palm.losses import dispersion, palm_mle
from shiftbench.systems.palm.trainers._prototypes import Prototypes
from shiftbench.trainers import _loop, _projected, _views

PARAMS: dict[str, object] = {
    "epochs": 10,
    "batch_size": 256,
    "optimizer": "sgd",
    "lr": 0.2,
    "weight_decay": 1e-4,
    "schedule": "warmup_cosine",
    "warmup": 0.1,
    "projection": 128,
    "momentum": 0.95,
    "temperature": 0.1,
    "dispersion": 2.0,
    "c": [0.001, 0.01, 0.1, 1.0],
    **_views.OPTIONS,
}


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last epoch, its head a linear probe."""
    net = _projected.Projected(_loop.fresh_net(job), job.params["projection"])
    centres = Prototypes(len(job.classes), 1, job.params["projection"])
    net.add_module("prototypes", centres)
    z, labels = _projected.places(job, net, "train")
    means = centres.owned(labels).T @ z
    centres.points.copy_(F.normalize(means, dim=1))

    def loss(
        net: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        pairs = _loop.tensor(np.concatenate([batch, batch]), net)
        z = net(_views.augment(pairs, rng, job.params))
        return step(centres, z, labels.repeat(2), job.params)

    held = _loop.data(job, "val")
    validate = lambda net: _projected.accuracy(net, centres.nearest, *held)  # noqa: E731
    _loop.fit(job, net, loss, validate=validate)
    return _projected.probed(job, net.inner, job.params["c"])


def step(
    centres: Prototypes, z: torch.Tensor, labels: torch.Tensor, params: Mapping[str, Any]
) -> torch.Tensor:
    """Move the prototypes and return the loss of one batch.

    Args:
        centres: one of each class; its points are replaced.
        z: of length 1, (n, d).
        labels: int64 (n,).
        params: options of CIDER.
    """
    points = followed(centres.points, z, labels, params["momentum"])
    logits = z @ points.detach().T / params["temperature"]
    compact = palm_mle.loss(logits, centres.owned(labels))
    centres.points.copy_(points.detach())
    return compact + float(params["dispersion"]) * dispersion.loss(points, params["temperature"])


def followed(
    points: torch.Tensor, z: torch.Tensor, labels: torch.Tensor, momentum: float
) -> torch.Tensor:
    """Return the points after each sample in turn has moved that of its class; the gradient flows into `z`.

    The first samples of all classes move together, then the second ones, since classes do not meet.
    """
    same = labels[:, None] == labels
    turn = same.tril(-1).sum(1)
    for number in range(int(turn.max()) + 1):
        rows = (turn == number).nonzero()[:, 0]
        own = labels[rows]
        new = F.normalize(momentum * points[own] + (1 - momentum) * z[rows], dim=1)
        points = points.index_put((own,), new)
    return points
