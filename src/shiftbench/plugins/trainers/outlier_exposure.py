"""Outlier exposure: fine-tuning with a second batch of auxiliary outliers, which are taught the uniform distribution.

    L = CE(f(x), y) + weight x mean over outliers of -(1/C) sum_c log softmax_c(f(o))

Source: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, section 3 (weight
0.5 for images, fine-tuned networks). One forward pass sees both batches, as there, so that normalisation layers do,
too. MixOE's code takes `per_sample: 2` for this comparison, its paper 1.
Differs: outliers are drawn with replacement (`_outliers`), and moved as training samples are.
"""

from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import uniform
from shiftbench.plugins.trainers import _exposure, _loop, _outliers, finetune

TASKS = ("classification",)
needs = _exposure.needs


class Options(_exposure.Options):
    per_sample: _exposure.PerSample = 1
    weight: _exposure.Weight = 0.5


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    outliers = _outliers.load(job)

    def loss(network: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        known, unknown = _exposure.both(network, batch, outliers, rng, job.params)
        weight: float = job.params["weight"]
        return cross_entropy(known, labels) + weight * uniform(unknown)

    mode = finetune.mode(job.params["statistics"])
    return dict(_loop.fit(job, finetune.begin(job), loss, mode).state_dict())
