"""Residual networks for images of 32 px: a first convolution of 3x3 without pooling; helper of `resnet18_32x32`.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1, with the first layer
of their section 4.2 for CIFAR-10 and shortcuts of 1x1 convolutions, as OpenOOD and most of the field have it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

WIDTHS = (64, 128, 256, 512)
ENCODERS = ("encoder.", "backbone.")
"""Beginnings of the names of a released network's layers before the head."""


class Options(declare.Options):
    size: fields.Size = 32
    mean: fields.Mean = Field([0.4914, 0.4822, 0.4465])
    std: fields.Std = Field([0.2470, 0.2435, 0.2616])


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (n, before, h, w) to (n, after, h / stride, w / stride)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's activations."""
        inner = F.relu(self.bn1(self.conv1(x)))
        outer: torch.Tensor = self.bn2(self.conv2(inner)) + self.shortcut(x)
        return F.relu(outer)


class ResNet(nn.Module):
    """Images (n, 3, h, w) in 0..255, uint8 or float, to features (n, 512) and logits."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, depths: Sequence[int], classes: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                Block(before, after, 1 if before == after else 2), *(Block(after, after, 1) for _ in range(depth - 1))
            )
            for before, after, depth in zip((WIDTHS[0], *WIDTHS), WIDTHS, depths, strict=False)
        )
        self.head = nn.Linear(WIDTHS[-1], classes)
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1), persistent=False)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, 512), none of them negative."""
        normal = (x.float() / 255 - self.mean) / self.std
        maps = F.relu(self.bn1(self.conv1(normal)))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        pooled: torch.Tensor = maps.mean(dim=(2, 3))
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def adopt(self, state: State) -> State:
        """OpenOOD's state dict, or that of an encoder with a projection, under the names here.

        An encoder (`encoder.`, as PALM and CIDER release it, or `backbone.`, as OpenOOD's port) whose projection
        (`head.0.`, ...) is dropped has no classifier: the head is zero, and all logits are.
        """
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
        inner = {name.partition(".")[2]: t for name, t in state.items() if name.startswith(ENCODERS)}
        projected = any(name.startswith("head.0.") for name in state)
        if inner and not projected:
            inner |= {name: tensor for name, tensor in state.items() if name.startswith("fc.")}
        renamed = {
            f"head.{name.removeprefix('fc.')}" if name.startswith("fc.") else name: tensor
            for name, tensor in (inner or state).items()
        }
        if inner and (projected or "head.weight" not in renamed):
            renamed |= {f"head.{n}": torch.zeros_like(t) for n, t in self.head.state_dict().items()}
        return renamed


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size): grey is repeated, others resized (bilinear) and cut to their middle square."""
    size = params["size"]
    return _images.colour_batch(samples, lambda image: _images.resize_and_crop(image, size, size, "bilinear"))


def grouped(network: nn.Module, groups: int = 32) -> nn.Module:
    """Replace each batch normalisation by a group normalisation, under its name."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, nn.GroupNorm(groups, child.num_features))
        else:
            grouped(child, groups)
    return network
