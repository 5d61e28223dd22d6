"""The trained part of MultiOOD's networks: the fourth stages of SlowFast, SlowOnly and a ResNet-18, and their heads.

| modality | fields of a sample, features of the frozen stages below | features |
| --- | --- | --- |
| `rgb` | `rgb` (1280, t, h, w), `fast` (128, 4 t, h, w) of SlowFast-R101 8x8 | 2304, slow then fast |
| `audio` | `audio` (256, h, w) of a ResNet-18 of spectrograms (VGGSound) | 512 |
| `flow` | `flow` (1024, t, h, w) of SlowOnly-R50 8x8 | 2048 |

The backbones below are frozen in the paper, so that their features (`get_feature` of the authors' code) are all that
training reads; half precision is enough on disk, and is float32 here. Modules have mmaction2's names, so that weights
pretrained on Kinetics-400 and the authors' checkpoints load (`_released.py`). A modality that a sample lacks is zeros.

Source: Dong et al. 2024, arXiv:2405.17419, section 5; donghao51/MultiOOD, `mmaction/models/backbones/resnet3d*.py`
and `VGGSound/models/resnet.py`; Feichtenhofer et al. 2019, arXiv:1812.03982. Differs: there the frozen stages stay in
training mode, so that the statistics of their norms follow the batches and crops are random; cached features are of
evaluation mode and of one crop, unless the user caches several.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.multiood.models import _modal

TASK = "modalities"
WIDTHS = {"rgb": 2304, "audio": 512, "flow": 2048}
FIELDS = {"rgb": {"rgb": 1280, "fast": 128}, "audio": {"audio": 256}, "flow": {"flow": 1024}}
"""Of each modality its fields, and the channels of each."""
AXES = {"audio": 3}
BLOCKS = 3


class Options(declare.Options):
    modalities: list[Literal["rgb", "audio", "flow"]] = Field(["rgb", "flow"], description="modalities, each once")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the features that are dropped in training")


class Convolution(nn.Module):
    """A convolution (3-d) and its norm, under mmaction2's names."""

    def __init__(
        self, width_in: int, width_out: int, kernel: tuple[int, int, int] = (1, 1, 1), stride: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(width_in, width_out, kernel, (1, stride, stride), padding, bias=False)
        self.bn = nn.BatchNorm3d(width_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised maps."""
        maps: torch.Tensor = self.bn(self.conv(x))
        return maps


class Bottleneck(nn.Module):
    """3x1x1, 1x3x3 and 1x1x1 convolutions with a shortcut: (n, before, t, h, w) to 4 `planes` channels."""

    def __init__(self, width_in: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(width_in, planes, (3, 1, 1))
        self.conv2 = Convolution(planes, planes, (1, 3, 3), stride)
        self.conv3 = Convolution(planes, 4 * planes)
        self.downsample = (
            Convolution(width_in, 4 * planes, stride=stride) if width_in != 4 * planes or stride > 1 else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's activations."""
        inner = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(inner) + (x if self.downsample is None else self.downsample(x)))


class Basic(nn.Module):
    """Two 3x3 convolutions with a shortcut, under torchvision's names."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out))
            if width_in != width_out
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's activations."""
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Branch(nn.Module):
    """The fourth stage of each field of a modality, means over places, one after the other, then dropout."""

    def __init__(self, modality: str, dropout: float) -> None:
        super().__init__()
        self.fields = tuple(FIELDS[modality])
        self.stages = nn.ModuleDict({field: stage(field, channels) for field, channels in FIELDS[modality].items()})
        self.dropout = nn.Dropout(0.0 if modality == "audio" else dropout)

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Features (n, width), 0 or more."""
        means = [self.stages[field](x[field].float()).flatten(2).mean(2) for field in self.fields]
        features: torch.Tensor = self.dropout(torch.cat(means, dim=1))
        return features


def stage(field: str, channels: int) -> nn.Sequential:
    """The fourth stage above a field of so many channels."""
    if field == "audio":
        return nn.Sequential(Basic(channels, 2 * channels, 2), Basic(2 * channels, 2 * channels, 1))
    planes = 64 if field == "fast" else 512
    later = (Bottleneck(4 * planes, planes, 1) for _ in range(BLOCKS - 1))
    return nn.Sequential(Bottleneck(channels, planes, 2), *later)


class ActionNet(_modal.Modal):
    """A network with convolutions over time, which have no layout with channels last among images'."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move to a device or type; the memory format stays as it is."""
        kwargs.pop("memory_format", None)
        return super().to(*args, **kwargs)


def build(params: Mapping[str, Any], classes: int) -> ActionNet:
    """The network with fresh weights from torch's generator.

    Raises:
        ParamsError: a modality that is unknown, or named twice.
    """
    names = _modal.check(params["modalities"], tuple(WIDTHS), "action_net")
    branches = {name: Branch(name, params["dropout"]) for name in names}
    return ActionNet(branches, [WIDTHS[name] for name in names], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """(n,) of the fields, float32 (channels, t, h, w) or (channels, h, w).

    Raises:
        DataError: features of another number of channels or axes, or of two shapes; names sample and field.
    """
    fields = {field: channels for name in params["modalities"] for field, channels in FIELDS[name].items()}
    shapes = {field: _shape(samples, field, channels) for field, channels in fields.items()}
    batch = np.zeros(len(samples), np.dtype([(name, np.float32, size) for name, size in shapes.items()]))
    for at, sample in enumerate(samples):
        for field, shape in shapes.items():
            if field in sample.fields:
                batch[field][at] = _check(sample, field, shape)
    return batch


def _shape(samples: Sequence[Sample], field: str, channels: int) -> tuple[int, ...]:
    first = next((each for each in samples if field in each.fields), None)
    axes = AXES.get(field, 4)
    if first is None:
        return (channels, *(1, 2, 2)[4 - axes :])
    shape: tuple[int, ...] = first.fields[field].shape
    if len(shape) != axes or shape[0] != channels:
        raise DataError(
            f"{first.key}: {field} is {shape}; expected {channels} channels and {axes} axes, the features below the "
            "fourth stage"
        )
    return shape


def _check(sample: Sample, field: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    value: np.ndarray[Any, Any] = sample.fields[field]
    if value.shape != shape:
        raise DataError(f"{sample.key}: {field} is {value.shape}, those before are {shape}; expected one shape")
    return value
