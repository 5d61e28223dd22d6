"""Two hidden layers over the pixels of two colour channels, 14 x 14 each: RFC's model for ColoredMNIST.

Of two classes the first has the logit 0, so that there is one free logit, as of a sigmoid: its row of the head is 0 and
has no gradient. Weights are drawn by Xavier's uniform rule, biases are 0. The third channel of colour is not seen.

Source: TjuJianyu/RFC, coloredmnist/models.py (392-390-390-1, ReLU), after Arjovsky et al. 2019, arXiv:1907.02893.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"
INPUT_RANGE = (0.0, 1.0)
CHANNELS, BINARY = 2, 2


class Options(declare.Options):
    size: fields.Size = 14
    width: int = Field(390, ge=1, description="units of each hidden layer")


class Head(nn.Linear):
    """Features (n, d) to logits (n, classes); of two classes the first is 0.

    Attributes:
        free: 1 for a logit that learns, else 0; (classes,).
    """

    free: torch.Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        fixed_rows = 1 if classes == BINARY else 0
        free = torch.ones(classes)
        free[:fixed_rows] = 0
        self.register_buffer("free", free, persistent=False)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.xavier_uniform_(self.weight.data[fixed_rows:])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return F.linear(features, self.weight * self.free[:, None], self.bias * self.free)


class TwoChannelMLP(nn.Module):
    """Pictures float (n, 2, size, size) in 0..1 to features (n, d) and logits."""

    def __init__(self, size: int, width: int, classes: int) -> None:
        super().__init__()
        layers = [nn.Linear(CHANNELS * size * size, width), nn.Linear(width, width)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.body = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU())
        self.head = Head(width, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Input of the head (n, width)."""
        features_of_input: torch.Tensor = self.body(x)
        return features_of_input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return TwoChannelMLP(params["size"], params["width"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images float32 (n, 2, size, size) in 0..1: the first two channels, resized only where the size differs."""
    size = params["size"]
    colour = _images.colour_batch(samples, lambda image: _images.resize(image, size, size))
    return np.ascontiguousarray(colour[:, :CHANNELS], dtype=np.float32) / np.float32(255)
