"""An MLP that is adapted to each task by gradient steps on its support, and a model of the risk that then remains.

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, section 5.1; width, ten steps of
0.001 at test time and the initialisation (torch's) are those of MPTS (thu-rllab/MPTS, sinusoid/backbone_maml.py,
test.py), whose risk learner is `_risk_model`. Every trainer's weights hold it; it predicts once it has learned, which
it does under `maml_mpts` alone. The released code divides a mean over K points by K again (`risk_scale`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mpts.models import _meta_net, _second_order
from shiftbench.systems.mpts.models._links import Direct, Floats

TASK = "few_shot_regression"
predictor = _meta_net.predictor


class Options(declare.Options):
    inputs: int = Field(1, ge=1, description="numbers of an input")
    width: int = Field(40, ge=1, description="units of the two hidden layers")
    identifier: _meta_net.Identifier = 2
    risk_width: _meta_net.RiskWidth = 10
    risk_scale: _meta_net.RiskScale = 0.1
    risk_draws: _meta_net.RiskDraws = 20
    steps: _meta_net.Steps = 10
    lr: _meta_net.Rate = 0.001


class Net(_meta_net.MetaNet):
    """Three linear layers with ReLU between them; the risk is the mean squared error."""

    ANSWERS = "predictions"

    def __init__(self, params: Mapping[str, Any]) -> None:
        sizes = _meta_net.chain(params["inputs"], params["width"], params["width"], 1)
        super().__init__(sizes, [Direct() for _ in sizes], params)

    def loss(self, outputs: Floats, targets: Floats) -> _second_order.Loss:
        """Squared error."""
        return _second_order.squared_error(outputs, targets)

    def risks(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean squared error of each task, (n,)."""
        return (outputs - targets).square().mean(1)

    def points(self, samples: Sequence[Sample], name: str) -> Floats:
        """Points as they are."""
        return _meta_net.stack(samples, name)

    def answers(self, outputs: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        return outputs


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Network with fresh weights from torch's generator."""
    return Net(params)
