"""Small convolutional network for 28 px grey images: three 3x3 convolutions, about 1.2 M multiply-adds.

Source: the plain conv-norm-relu-pool stack that every framework's Fashion-MNIST tutorial has; ours,
with the widths chosen so that one core trains about 2,000 images per second.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    width: int = Field(12, ge=1, description="channels of the first layer; the others have two and four times as many")
    size: fields.Size = 28
    norm: Literal["batch", "group"] = Field("batch", description="batch norm, or group norm of four groups")
    features: int = Field(96, ge=1, description="penultimate features")


class ConvNet(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features (n, d) and logits."""

    def __init__(self, width: int, norm: str, features: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), _norm(norm, after)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.neck = nn.Sequential(nn.Linear(9 * 4 * width, features), nn.ReLU())
        self.head = nn.Linear(features, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, d)."""
        pooled: torch.Tensor = self.neck(self._body(x.float() / 127.5 - 1.0))
        return pooled

    def _body(self, x: torch.Tensor) -> torch.Tensor:
        """Result of `body`, pooled before it is rectified: the same numbers, for a quarter of the work.

        A hook on a layer runs where its name is.
        """
        layers = list(self.body)
        if any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers):
            whole: torch.Tensor = self.body(x)
            return whole
        for at in range(0, len(layers) - 2, 4):
            convolution, norm, rectify, pool = layers[at : at + 4]
            x = rectify(pool(norm(convolution(x))))
        for layer in layers[-2:]:
            x = layer(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.GroupNorm(4, channels) if kind == "group" else nn.BatchNorm2d(channels)


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return ConvNet(params["width"], params["norm"], params["features"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
