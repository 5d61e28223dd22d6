"""ROOT: Muon with coefficients fitted to each shape of matrix, and a momentum that is clipped at a quantile.

A few huge gradient entries turn the direction of a whole matrix: the momentum's entries beyond the 0.90 quantile of
their sizes are cut to it before it is orthogonalised. This cuts a tenth of the entries of clean gradients, too.

Source: "ROOT: Robust Orthogonalized Optimizer for Neural Network Training", 2025, arXiv 2511.20626; huawei-noah/
noah-research, folder ROOT: the quantile, Nesterov and the factor 0.2 sqrt(max(m, n)) come from its script (the paper's
pseudo-code clips a plain momentum). Shapes that no table has step by Muon's coefficients (`_coefficients.py`).
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins import declare, fields
from shiftbench.plugins.optimizers import _orthogonal


class Options(declare.Options):
    momentum: fields.Momentum = 0.95
    nesterov: bool = Field(True, description="Nesterov's momentum")
    coefficients: Literal["classic", "muon", "fitted"] = Field(
        "fitted", description="coefficients of the Newton-Schulz steps"
    )
    quantile: float | None = Field(
        0.9, ge=0, le=1, description="quantile of the sizes at which the momentum is cut; null: no cut"
    )
    scale: Literal["rms", "muon"] = Field(
        "rms", description="scale of a step: 0.2 sqrt(max(m, n)), or sqrt(max(1, m / n))"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="first beta of AdamW, which steps all that is no hidden matrix")
    beta2: float = Field(0.95, ge=0, lt=1, description="second beta of AdamW")


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser over what learns in the model."""
    rule_options = {name: params[name] for name in ("momentum", "nesterov", "coefficients", "quantile", "scale")}
    rule = _orthogonal.Rule(**rule_options)
    betas = params["beta1"], params["beta2"]
    return _orthogonal.Orthogonal(_orthogonal.groups(model, weight_decay), lr, rule, betas)
