"""Adam with decoupled weight decay; biases and norms are not decayed.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
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
    head: _groups.Head = 1.0


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Torch's AdamW over the trained parameters."""
    groups = _groups.by_decay(model, weight_decay, lr, params["head"])
    betas = params["beta1"], params["beta2"]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=params["eps"])
