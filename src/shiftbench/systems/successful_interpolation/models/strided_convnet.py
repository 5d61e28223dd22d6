"""Small convolutional model without pooling for 28 px grey images: convolutions of stride 2, group norm, a mean.

Each block is a 3x3 convolution of stride 2, normalisation in four groups and a
rectifier. No batch normalisation, so that weights can be mixed as they are.

Source: none; the plain model in which weights are interpolated here, in place of CLIP's image tower.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    widths: list[Annotated[int, Field(ge=4, multiple_of=4)]] = Field(
        [16, 32, 48, 64], min_length=1, description="channels of each block, multiples of 4"
    )
    size: fields.Size = 28


class StridedConvNet(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features (n, d) and logits."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        pairs = zip([1, *widths], widths, strict=False)
        self.body = nn.Sequential(*(_block(*pair) for pair in pairs))
        self.head = nn.Linear(widths[-1], classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, d), means over places."""
        pooled: torch.Tensor = self.body(x.float() / 127.5 - 1.0).mean((2, 3))
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def _block(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.GroupNorm(4, outputs), nn.ReLU()
    )


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return StridedConvNet(params["widths"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
