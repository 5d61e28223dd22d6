"""The small convolutional model (models/convnet.py) with dropout between its features and its head.

In evaluation it answers as one model; detectors/mc_dropout_variance.py and methods/mc_dropout.py draw masks again.

Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins.models import convnet

TASK = "classification"

prepare_batch = convnet.prepare_batch


class Options(convnet.Options):
    rate: float = Field(0.5, ge=0, lt=1, description="share of the features that dropout sets to 0")


class DropoutNet(convnet.ConvNet):
    """Images (n, 1, size, size) in 0..255 to features (n, d), of which training drops some, and logits."""

    def __init__(self, rate: float, params: Mapping[str, Any], classes: int) -> None:
        super().__init__(params["width"], params["norm"], params["features"], classes)
        self.dropout = nn.Dropout(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.dropout(self.features(x)))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return DropoutNet(params["rate"], params, classes)
