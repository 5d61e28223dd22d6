"""Outlier exposure with mined outliers (OE-M): each epoch learns from those that the network is surest of.

Outliers of the pool are drawn without replacement, and the epoch draws from those `per_sample` x (number of training
samples) of them whose largest probability is highest: that epoch's supply, hardest first. Else as `outlier_exposure`.

Source: Zhang et al., "Mixture Outlier Exposure", WACV 2023, where it is a comparison (weight 1, pool 50,000, 2 per
sample in the authors' code); after Chen et al., "ATOM", ECML 2021, section 4. Differs: within an epoch outliers are
drawn with replacement.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import uniform
from shiftbench.plugins.trainers import _exposure, _loop, _outliers, finetune

TASKS = ("classification",)
needs = _exposure.needs


class Options(_exposure.Options):
    per_sample: _exposure.PerSample = 2
    weight: _exposure.Weight = 1.0
    pool: int = Field(50000, ge=1, description="outliers that are drawn before each epoch, at most")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    everything, mode = _outliers.load(job), finetune.mode(job.params["statistics"])
    count = job.params["per_sample"] * _loop.count(job, "train")
    rounds: list[_outliers.Outliers] = []

    def mine(model: nn.Module) -> None:
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"{len(rounds)}/pool")
        size = min(job.params["pool"], len(everything.inputs))
        pool = rng.choice(len(everything.inputs), size)
        rounds.append(_outliers.Outliers(everything.inputs, hardest(model, everything, pool, count)))
        mode(model)

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        known, unknown = _exposure.both(model, batch, rounds[-1], rng, job.params)
        weight: float = job.params["weight"]
        return cross_entropy(known, labels) + weight * uniform(unknown)

    return dict(_loop.fit(job, finetune.begin(job), loss, mine).state_dict())


def hardest(
    model: nn.Module, outliers: _outliers.Outliers, pool: npt.NDArray[np.int64], count: int, batch: int = 256
) -> npt.NDArray[np.int64]:
    """The `count` rows of the pool (all, where there are fewer) of the largest probability, surest first."""
    model.eval()
    with torch.inference_mode():
        sure = [
            model(_loop.tensor(outliers.inputs[pool[at : at + batch]], model)).softmax(1).amax(1).cpu().numpy()
            for at in range(0, len(pool), batch)
        ]
    order = np.argsort(-np.concatenate(sure), kind="stable")
    return pool[order[:count]]
