"""Muon: hidden matrices step along their orthogonalised momentum, all else by AdamW.

`scale: muon` is the published factor, whose learning rate is 0.02. `scale: rms` makes updates as large as AdamW's and
is ROOT's, so that both take the same learning rates: comparing the two factors compares rates. `quantile` clips the
momentum as ROOT does, for its ablation.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", KellerJordan/Muon; the factor
`rms` is Liu et al. 2025, "Muon is Scalable for LLM Training", arXiv:2502.16982, section 2.2. Differs: the
iterations are in float32.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins import declare, fields
from shiftbench.plugins.optimizers import _groups, _orthogonal


class Options(declare.Options):
    momentum: fields.Momentum = 0.95
    nesterov: bool = Field(True, description="Nesterov's momentum, not the classical one")
    coefficients: Literal["classic", "muon", "fitted"] = Field(
        "muon", description="coefficients of the Newton-Schulz iteration; fitted: those of each shape"
    )
    quantile: float | None = Field(
        None,
        ge=0,
        le=1,
        description="quantile of the sizes of a momentum's entries to which it is clipped; null: no clipping",
    )
    scale: Literal["rms", "muon"] = Field(
        "rms", description="factor of an update: 0.2 sqrt(max(m, n)), or sqrt(max(1, m/n))"
    )
    beta1: _groups.Beta1 = 0.9
    beta2: _groups.Beta2 = 0.95


def make(model: nn.Module, lr: float, weight_decay: float, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser over the trained parameters."""
    own = {name: params[name] for name in ("momentum", "nesterov", "coefficients", "quantile", "scale")}
    rule = _orthogonal.Rule(average=True, **own)
    betas = params["beta1"], params["beta2"]
    return _orthogonal.Orthogonal(_orthogonal.groups(model, weight_decay), lr, rule, betas)
