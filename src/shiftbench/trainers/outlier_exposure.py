"""Outlier exposure: fine-tuning with a second batch of auxiliary outliers, which are taught the uniform distribution.

    L = CE(f(x), y) + weight x mean over outliers of -(1/C) sum_c log softmax_c(f(o))

Source: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, section 3 (weight
0.5 for images, fine-tuned nets). One forward pass sees both batches, as there, so that normalisation layers do, too.
`per_sample` outliers are drawn for each training sample (MixOE's code takes 2 for this comparison, its paper 1).
Differs: outliers are drawn with replacement (`_outliers`), and moved as training samples are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shiftbench.losses import cross_entropy, uniform
from shiftbench.refs import Ref
from shiftbench.rng import Words
from shiftbench.train import TrainJob
from shiftbench.trainers import _loop, _outliers, erm, finetune

PARAMS: dict[str, object] = {
    "start": "erm",
    "outliers": "animal_shape",
    "per_sample": 1,
    "weight": 0.5,
    "epochs": 3,
    "batch_size": 64,
    "optimizer": "sgd",
    "lr": 0.01,
    "schedule": "cosine",
    "weight_decay": 0.00001,
    "statistics": "learnt",
    "shift": 1,
    "flip": False,
}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the weights to start from, the train and val shards, and the outliers'."""
    return [*finetune.needs(params), *_outliers.needs(params)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last epoch."""
    outliers = _outliers.load(job)

    def loss(
        net: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, words: Words
    ) -> torch.Tensor:
        known, unknown = both(net, batch, outliers, words, job.params)
        weight: float = job.params["weight"]
        return cross_entropy.loss(known, labels) + weight * uniform.loss(unknown)

    mode = finetune.mode(job.params["statistics"])
    return dict(_loop.fit(job, finetune.begin(job), loss, mode).state_dict())


def both(
    net: nn.Module,
    batch: npt.NDArray[Any],
    outliers: _outliers.Outliers,
    words: Words,
    params: Mapping[str, Any],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits of a batch and of freshly drawn outliers, in one forward pass.

    Args:
        net: in training mode.
        batch: prepared samples.
        outliers: to draw from.
        words: of this step: those that move the batch come first, as in plain fine-tuning.
        params: `shift`, `flip`, `per_sample`.
    """
    shift, flip = params["shift"], params["flip"]
    seen = erm.move(batch, words, shift, flip=flip)
    drawn = outliers.draw(words, params["per_sample"] * len(batch))
    drawn = erm.move(drawn, words, shift, flip=flip)
    logits: torch.Tensor = net(_loop.tensor(np.concatenate([seen, drawn]), net))
    return logits[: len(batch)], logits[len(batch) :]
