"""Cross-entropy and outlier exposure from scratch, on images under a drift of random strength; logs adaptation rates.

    L = CE(f(a(x)), y) + weight x cross-entropy to uniform of f(a(o)),   a: the drift at strengths of [low, high]

What a plain training does against a known drift: augmentation. `low: 0, high: 0` is CE + OE without it. Afterwards the
rates at which the network adapts best (few-shot and TENT) are searched on a validation drift and logged (`_drift`).

Source: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, section 3 (trained
from scratch); as comparator of Wu et al. 2023, "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV, ours:
its own comparators could not be read.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.methods import _adapting
from shiftbench.plugins.trainers import _loop, _outliers
from shiftbench.systems.mol_caood.trainers import _drift

TASKS = ("classification",)
uses = _drift.uses


class Options(_drift.Options):
    strengths: int = Field(8, ge=1, description="parts of a batch, each with a strength of its own")
    epochs: fields.Epochs = 6
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.002
    schedule: fields.Schedule = "constant"
    weight_decay: fields.WeightDecay = 0.0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the outliers' shards."""
    own = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*own, *_outliers.needs(params)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    outliers, drift, model = _outliers.load(job), _drift.Drift.of(job), _loop.fresh_net(job)
    _drift.refuse_statistics(model, "oe_shifted")

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        unknown = outliers.draw(rng, len(batch))
        strengths = drift.draw(rng, job.params["strengths"])
        rows = np.array_split(rng.choice(len(batch)), len(strengths))
        parts = [
            drift.at(part[own], strength, f"{rng.integers(0, 1 << 30)}")
            for part in (batch, unknown)
            for own, strength in zip(rows, strengths, strict=True)
        ]
        targets = _drift.labels_of(labels[np.concatenate(rows)], len(unknown))
        logits = model(_loop.tensor(np.concatenate(parts), model))
        return _adapting.known_and_outliers(logits, targets, job.params["weight"])

    _loop.fit(job, model, loss)
    _drift.search(job, model, outliers)
    return dict(model.state_dict())
