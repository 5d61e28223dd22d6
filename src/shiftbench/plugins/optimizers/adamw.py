"""Adam with decoupled weight decay; biases and norms are not decayed.

`head`: the learning rate of the net's head, as a factor.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shiftbench.plugins.optimizers import _groups

PARAMS: dict[str, object] = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "head": 1.0}


def make(net: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return torch's AdamW over what learns in the net."""
    groups = _groups.by_decay(net, weight_decay, lr, params["head"])
    betas = params["beta1"], params["beta2"]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=params["eps"])
