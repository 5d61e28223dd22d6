"""Muon: hidden matrices step along their orthogonalised momentum, all else by AdamW.

`scale: muon` is the published factor sqrt(max(1, m/n)), whose learning rate is 0.02; `rms` (0.2 sqrt(max(m, n))) makes
updates as large as AdamW's and is ROOT's, so that both take the same learning rates: comparing the two factors compares
rates. `quantile` clips the momentum as ROOT does: its ablation.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", KellerJordan/Muon; the factor
`rms` is Liu et al. 2025, "Muon is Scalable for LLM Training", arXiv:2502.16982, section 2.2. Differs: the
iterations are in float32.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shiftbench.plugins.optimizers import _orthogonal

PARAMS: dict[str, object] = {
    "momentum": 0.95,
    "nesterov": True,
    "coefficients": "muon",
    "quantile": None,
    "scale": "rms",
    "beta1": 0.9,
    "beta2": 0.95,
}


def make(net: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return the optimiser over what learns in the net."""
    own = {name: params[name] for name in ("momentum", "nesterov", "coefficients", "quantile", "scale")}
    rule = _orthogonal.Rule(average=True, **own)
    betas = params["beta1"], params["beta2"]
    return _orthogonal.Orthogonal(_orthogonal.groups(net, weight_decay), lr, rule, betas)
