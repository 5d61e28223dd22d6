"""No training: the weights that a network begins with, which is what any pre-training should beat.

Source: the control of transfer studies, e.g. Alain and Bengio 2016, arXiv:1610.01644, section 3.3 (probes of random
layers). Statistics of normalisation layers are their initial ones.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base.refs import Ref
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop

TITLE = "random initialisation"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Nothing: no image is looked at."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of a fresh network."""
    return dict(_loop.fresh_net(job).state_dict())
