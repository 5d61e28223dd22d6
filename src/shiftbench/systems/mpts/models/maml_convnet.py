"""A convnet of two layers that is adapted to tell a task's two classes apart, and a model of the risk that remains.

Two convolutions of 3 x 3 at a stride of 2 with ReLU, and a linear layer whose output are the log-odds of label 1; the
risk is the cross-entropy. Grey levels enter as -1 to 1.

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, section 5.2 and appendix A.1:
the strided convolutions of their Omniglot network, its inner rate of 0.4 (cbfinn/maml, main.py) and three steps at test
time. We differ: two layers instead of four, fewer filters, no batch normalisation, pictures of 14 x 14, two classes by
one output. The risk learner is that of MPTS, as in `maml_mlp`; K is ten pictures here, too.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mpts.models import _meta_net, _second_order
from shiftbench.systems.mpts.models._links import Flat, Floats, Patches

TASK = "few_shot_classification"
predictor = _meta_net.predictor


class Options(declare.Options):
    side: int = Field(14, ge=1, description="side of a picture, in pixels")
    filters: list[Annotated[int, Field(ge=1)]] = Field(
        [8, 16], min_length=2, max_length=2, description="filters of both layers"
    )
    identifier: _meta_net.Identifier = 12
    risk_width: _meta_net.RiskWidth = 10
    risk_scale: _meta_net.RiskScale = 0.1
    risk_draws: _meta_net.RiskDraws = 20
    steps: _meta_net.Steps = 3
    lr: _meta_net.Rate = 0.4


class Net(_meta_net.MetaNet):
    """Two convolutions and a linear layer with ReLU between them; the risk is the cross-entropy."""

    ANSWERS = "logits"

    def __init__(self, params: Mapping[str, Any]) -> None:
        first, second = params["filters"]
        patches = Patches(params["side"], 1), Patches((params["side"] + 1) // 2, first)
        places = patches[1].out ** 2
        sizes = [(9, first), (9 * first, second), (places * second, 1)]
        super().__init__(sizes, [*patches, Flat(places, second)], params)

    def loss(self, outputs: Floats, targets: Floats) -> _second_order.Loss:
        """Cross-entropy."""
        return _second_order.logistic(outputs, targets)

    def risks(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of each task in nats, (n,)."""
        losses = nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return losses.mean(1)

    def points(self, samples: Sequence[Sample], name: str) -> Floats:
        """Pictures' levels and, last, their labels."""
        pictures = _meta_net.stack(samples, name)
        return points(pictures, _meta_net.stack(samples, f"{name}_labels"))

    def answers(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logits of both classes, (n, q, 2)."""
        return torch.stack([torch.zeros_like(outputs), outputs], dim=2)


def points(pictures: np.ndarray, labels: np.ndarray) -> Floats:
    """Pictures uint8 (n, k, h, w) and labels uint8 (n, k) as float32 (n, k, h w + 1)."""
    n, k = labels.shape
    values = np.empty((n, k, pictures[0, 0].size + 1), np.float32)
    values[..., :-1] = pictures.reshape(n, k, -1)
    values[..., :-1] = (values[..., :-1] - 128) / 128
    values[..., -1] = labels
    return values


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Network with fresh weights from torch's generator."""
    return Net(params)
