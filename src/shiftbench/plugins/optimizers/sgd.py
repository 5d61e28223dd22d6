"""Stochastic gradient descent with Nesterov's momentum; biases and norms are not decayed.

With `decay_all`, the parameters are decayed as by torch's SGD over all parameters, which most published code calls.

Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013, section 2.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins import declare, fields
from shiftbench.plugins.optimizers import _groups


class Options(declare.Options):
    momentum: fields.Momentum = 0.9
    nesterov: bool = Field(True, description="Nesterov's momentum, not the classical one")
    head: _groups.Head = 1.0
    decay_all: _groups.DecayAll = False


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Torch's SGD over the trained parameters."""
    groups = _groups.by_decay(model, weight_decay, lr, params["head"])
    if params["decay_all"]:
        groups = [{**group, "weight_decay": weight_decay} for group in groups]
    return torch.optim.SGD(groups, lr=lr, momentum=params["momentum"], nesterov=params["nesterov"])
