"""Two hidden layers over the pixels: the plainest model of the zoo.

Source: Rumelhart, Hinton and Williams 1986, with rectified units; widths are ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    size: fields.Size = 28
    hidden: int = Field(256, ge=1, description="units of the first hidden layer")
    features: int = Field(96, ge=1, description="penultimate features")


class MLP(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features (n, d) and logits."""

    def __init__(self, size: int, hidden: int, features: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(size * size, hidden), nn.ReLU(), nn.Linear(hidden, features), nn.ReLU()
        )
        self.head = nn.Linear(features, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, d)."""
        pooled: torch.Tensor = self.body(x.float() / 127.5 - 1.0)
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return MLP(params["size"], params["hidden"], params["features"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
