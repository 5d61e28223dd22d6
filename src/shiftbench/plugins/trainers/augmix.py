"""AugMix: mixed chains of simple augmentations, and predictions that must agree over them.

Source: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
Uncertainty", ICLR 2020: algorithm 1 (mixing), equations 1 and 2 (Jensen-Shannon loss, weight 12).
Dirichlet and Beta parameters are 1, as there. Differs: whole batches are augmented at once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy, jensen_shannon
from shiftbench.plugins.trainers import _augment, _loop, erm

TASKS = ("classification",)


class Options(declare.Options):
    epochs: fields.Epochs = 8
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    shift: fields.Shift = 1
    flip: fields.Flip = False
    severity: float = Field(3.0, ge=0.1, le=10, description="largest strength of an augmentation, 0.1 to 10")
    chains: int = Field(3, ge=1, description="chains of augmentations that are mixed")
    depth: int = Field(3, ge=1, description="largest number of augmentations in a chain")
    jsd_weight: float = Field(12.0, ge=0, description="weight of the Jensen-Shannon divergence between the three views")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        batch = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        views = [batch.astype(np.float32), mix(batch, rng, job.params), mix(batch, rng, job.params)]
        logits = network(_loop.tensor(np.concatenate(views), network)).chunk(3)
        agree = jensen_shannon(logits)
        weight: float = job.params["jsd_weight"]
        return cross_entropy(logits[0], labels) + weight * agree

    return dict(_loop.fit(job, _loop.fresh_net(job), loss).state_dict())


def mix(batch: npt.NDArray[np.uint8], rng: RandomStream, params: Any) -> npt.NDArray[np.float32]:
    """One augmented view of each image (algorithm 1).

    Args:
        batch: uint8 (n, channels, h, w).
        rng: random words of this step.
        params: `severity` (largest level, 0.1 to 10), `chains`, `depth` (longest chain).

    Returns:
        float32 of the same shape, 0 to 255.
    """
    count, width = len(batch), params["chains"]
    chains = _augment_chains(np.repeat(batch, width, axis=0), rng, params)
    # Dirichlet(1, ..., 1) is exponentials over their sum, Beta(1, 1) is uniform.
    parts = -np.log(rng.uniform((count, width)))
    shares = parts / parts.sum(1, keepdims=True)
    views = chains.reshape(count, width, *batch.shape[1:])
    mixed = np.zeros(batch.shape, np.float32)
    for chain in range(width):
        mixed += views[:, chain] * shares[:, chain, None, None, None]
    weight = rng.uniform((count, 1, 1, 1))
    view: npt.NDArray[np.float32] = (1 - weight) * batch + weight * mixed
    return view


def _augment_chains(images: npt.NDArray[np.uint8], rng: RandomStream, params: Any) -> npt.NDArray[np.uint8]:
    count = len(images)
    depth = rng.integers(1, params["depth"] + 1, count)
    for step in range(params["depth"]):
        operation = rng.integers(0, len(_augment.OPERATIONS), count)
        level = 0.1 + rng.uniform(count) * (params["severity"] - 0.1)
        sign = np.where(rng.uniform(count) < 0.5, -1.0, 1.0)
        images = _augment.apply(images, np.where(step < depth, operation, -1), level, sign)
    return images
