"""CIDER: one prototype for every class on the unit sphere, samples near their own and prototypes far apart.

    loss = compactness x temperature / base_temperature x L_comp + L_disp

Source: Ming et al. 2023, "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?", ICLR,
arXiv:2203.04450, equations 5 to 7; deeplearning-wisc/cider (`train_cider.py`, `utils/losses.py`). There: batches of 512
images, two views of each, 500 epochs, `lr` 0.5, `weight_decay` 1e-4, both scripts with `--cosine`, which is `schedule:
joined_cosine` with `warmup: 0.02` (10 epochs; from 0.001 there, from 0 here). Scored by KNN on the encoder's features.

| | model | `compactness` | `momentum` | K of KNN |
| --- | --- | --- | --- | --- |
| paper; script for CIFAR-10 | ResNet-18 | 2 | 0.95 | 100 |
| script for CIFAR-100 (2 in the paper, changed after it "for better performance") | ResNet-34 | 1 | 0.5 | 300 |
| port in OpenOOD, CIFAR-10 and 100, 100 epochs, `warmup: 0.1` | ResNet-18 | 2 | 0.95, 0.5 | 50 |

All three codes leave `base_temperature` at 0.07, so that L_comp counts 10/7 times; the paper's equation has no such
factor: it is the default here, 0.1.

Prototypes begin as the mean places of the classes' training images (in the port: of val) and follow sample after
sample, each step normalised; the gradient of the dispersion reaches the model through the samples of the step. L_comp
is the likelihood of the own prototype: `palm_mle` of `losses/prototypes.py` with one prototype for each class.

Differs: the rate changes with each step, there with each epoch; in their first epoch of warm-up it lies below 0 (epochs
are counted from 0 where 1 is expected). Biases and norms are decayed where the optimiser has `decay_all`, as there.
`head` is a linear probe, as in `palm`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _projected, _views
from shiftbench.systems.palm.losses.prototypes import dispersion, palm_mle
from shiftbench.systems.palm.trainers._prototypes import Prototypes

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "epochs": 10,
    "batch_size": 256,
    "optimizer": "sgd",
    "lr": 0.2,
    "weight_decay": 1e-4,
    "schedule": "joined_cosine",
    "warmup": 0.1,
    "projection": 128,
    "momentum": 0.95,
    "temperature": 0.1,
    "base_temperature": 0.1,
    "compactness": 2.0,
    "c": [0.001, 0.01, 0.1, 1.0],
    **registry.defaults(_views),
}


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch, its head a linear probe."""
    model = _projected.Projected(_loop.fresh_net(job), job.params["projection"])
    centres = Prototypes(len(job.classes), 1, job.params["projection"])
    model.add_module("prototypes", centres)
    z, labels = _projected.places(job, model, "train")
    means = centres.owned(labels).T @ z
    centres.points.copy_(F.normalize(means, dim=1))

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        pairs = _loop.tensor(np.concatenate([batch, batch]), model)
        z = model(_views.augment(pairs, rng, job.params))
        return step(centres, z, labels.repeat(2), job.params)

    val_data = _loop.data(job, "val")
    validate = lambda model: _projected.accuracy(model, centres.nearest, *val_data)  # noqa: E731
    _loop.fit(job, model, loss, validate=validate)
    return _projected.probed(job, model.inner, job.params["c"])


def step(centres: Prototypes, z: torch.Tensor, labels: torch.Tensor, params: Mapping[str, Any]) -> torch.Tensor:
    """Move the prototypes and return the loss of one batch.

    Args:
        centres: one of each class; its points are replaced.
        z: of length 1, (n, d).
        labels: int64 (n,).
        params: options of CIDER.
    """
    points = followed(centres.points, z, labels, params["momentum"])
    logits = z @ points.detach().T / params["temperature"]
    centres.points.copy_(points.detach())
    share: float = params["compactness"] * params["temperature"] / params["base_temperature"]
    compact = palm_mle(logits, centres.owned(labels))
    return share * compact + dispersion(points, params["temperature"])


def followed(points: torch.Tensor, z: torch.Tensor, labels: torch.Tensor, momentum: float) -> torch.Tensor:
    """The points after each sample in turn has moved that of its class; the gradient flows into `z`.

    The first samples of all classes move together, then the second ones, since classes do not meet.
    """
    same_class = labels[:, None] == labels
    turn = same_class.tril(-1).sum(1)
    for number in range(int(turn.max()) + 1):
        rows = (turn == number).nonzero()[:, 0]
        classes = labels[rows]
        new = F.normalize(momentum * points[classes] + (1 - momentum) * z[rows], dim=1)
        points = points.index_put((classes,), new)
    return points
