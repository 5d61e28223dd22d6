"""Adam: steps in units of running moments of the gradient, of which weight decay is a part.

With `decay_all`, the parameters are decayed as by torch's Adam over all parameters.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1; weight decay is the
L2 penalty of Loshchilov and Hutter, ICLR 2019, section 2 (`adamw` has it decoupled).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shiftbench.plugins import declare
from shiftbench.plugins.optimizers import _groups


class Options(declare.Options):
    beta1: _groups.Beta1 = 0.9
    beta2: _groups.Beta2 = 0.999
    eps: _groups.Eps = 1e-8
    decay_all: _groups.DecayAll = False


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Torch's Adam over the trained parameters."""
    groups = _groups.by_decay(model, weight_decay)
    if params["decay_all"]:
        groups = [{**group, "weight_decay": weight_decay} for group in groups]
    betas = params["beta1"], params["beta2"]
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=params["eps"])
