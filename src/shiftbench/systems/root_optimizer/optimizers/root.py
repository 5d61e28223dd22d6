"""ROOT: Muon with coefficients fitted to each shape of matrix, and a momentum that is clipped at a quantile.

A few huge gradient entries turn the direction of a whole matrix: the momentum's entries beyond the 0.90 quantile of
their sizes are cut to it before it is orthogonalised. This cuts a tenth of the entries of clean gradients, too.

Source: "ROOT: Robust Orthogonalized Optimizer for Neural Network Training", 2025, arXiv 2511.20626; huawei-noah/
noah-research, folder ROOT: the quantile, Nesterov and the factor 0.2 sqrt(max(m, n)) come from its script (the paper's
pseudo-code clips a plain momentum). Shapes that no table has step by Muon's coefficients (`_coefficients.py`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shiftbench.plugins.optimizers import _orthogonal

PARAMS: dict[str, object] = {
    "momentum": 0.95,
    "nesterov": True,
    "coefficients": "fitted",
    "quantile": 0.90,
    "scale": "rms",
    "beta1": 0.9,
    "beta2": 0.95,
}


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser over what learns in the model."""
    rule_options = {name: params[name] for name in ("momentum", "nesterov", "coefficients", "quantile", "scale")}
    rule = _orthogonal.Rule(**rule_options)
    betas = params["beta1"], params["beta2"]
    return _orthogonal.Orthogonal(_orthogonal.groups(model, weight_decay), lr, rule, betas)
