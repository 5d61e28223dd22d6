"""NAME: a perceptron with one hidden layer, on grey images.

Source: Rumelhart, Hinton and Williams 1986, doi:10.1038/323533a0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    size: fields.Size = 28
    hidden: int = Field(64, ge=1, description="units of the hidden layer, which are the features")


class Perceptron(nn.Module):
    """Images (n, 1, size, size), uint8 or float in 0..255, to features (n, hidden) and logits."""

    def __init__(self, size: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(size * size, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, hidden)."""
        hidden: torch.Tensor = self.body(x.float() / 127.5 - 1)
        return hidden

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator, which the trainer seeds."""
    return Perceptron(params["size"], params["hidden"], classes)


def prepare(sample: Sample, params: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return uint8 (1, size, size); colour becomes grey, another size is resized."""
    image: NDArray[np.uint8] = _images.grey_batch([sample], params["size"])[0]
    return image
