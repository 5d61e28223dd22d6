"""Stochastic gradient descent with Nesterov's momentum; biases and norms are not decayed.

`head`: the learning rate of the net's head, as a factor. `decay_all`: biases and norms are decayed, too, as by torch's
SGD over all parameters, which most published code calls.

Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013, section 2.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shiftbench.plugins.optimizers import _groups

PARAMS: dict[str, object] = {"momentum": 0.9, "nesterov": True, "head": 1.0, "decay_all": False}


def make(net: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return torch's SGD over what learns in the net."""
    groups = _groups.by_decay(net, weight_decay, lr, params["head"])
    if params["decay_all"]:
        groups = [{**group, "weight_decay": weight_decay} for group in groups]
    return torch.optim.SGD(groups, lr=lr, momentum=params["momentum"], nesterov=params["nesterov"])
