"""Outlier exposure by energy: fine-tuning that pushes ID energies below one margin and outliers' above another.

    L = CE(f(x), y) + weight x (mean relu(E(x) - margin_in)^2 + mean relu(margin_out - E(o))^2)

Source: Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020, section 3.2 (weight 0.1). The margins
follow the energies that the starting weights give: the defaults (-13 and -6) are MixOE's for Stanford Cars, and a small
network on few classes needs others. Else as `outlier_exposure`.
"""

from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import energy_hinge
from shiftbench.plugins.trainers import _exposure, _loop, _outliers, finetune

TASKS = ("classification",)
needs = _exposure.needs


class Options(_exposure.Options):
    per_sample: _exposure.PerSample = 1
    weight: float = Field(0.1, ge=0, description="weight of the two hinges on the energies")
    margin_in: float = Field(-13.0, description="energy that ID samples should stay below")
    margin_out: float = Field(-6.0, description="energy that outliers should stay above")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    outliers, params = _outliers.load(job), job.params

    def loss(network: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        known, unknown = _exposure.both(network, batch, outliers, rng, params)
        hinges = energy_hinge(known, unknown, params["margin_in"], params["margin_out"])
        weight: float = params["weight"]
        return cross_entropy(known, labels) + weight * hinges

    mode = finetune.mode(params["statistics"])
    return dict(_loop.fit(job, finetune.begin(job), loss, mode).state_dict())
