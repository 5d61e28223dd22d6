"""A small top-down pose model in the manner of SimpleBaseline: convolutions down, deconvolutions up to heatmaps.

An input of `height_px` x `width_px` pixels goes through a stem at half the size and three residual stages, each half
as large as the one before, of widths w, 2w, 4w and 8w; two deconvolutions of 4x4 at stride 2 bring it up again, to
heatmaps of a quarter of the input.

Source: Xiao, Wu and Wei 2018, "Simple Baselines for Human Pose Estimation and Tracking", arXiv:1804.06208, section 2.
Differs: a stem and one basic block a stage in place of ResNet-50, trained from nothing.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _heatmaps

TASK = "keypoints"
DOWN = 16
"""By how much the stem and the stages make an input smaller."""


class Options(_heatmaps.Options):
    flip_test: bool = Field(False, description="take the mean of the heatmaps of the picture and of its mirror image")
    width: int = Field(16, ge=1, description="channels of the first stage; each next one has twice as many")
    sigma: float = Field(1.5, gt=0, description="width of a joint's peak in a heatmap, in its pixels")
    blur: int = Field(
        5, ge=1, description="side of the Gaussian filter of heatmaps before their maximum, odd, in pixels"
    )
    height_px: int = Field(96, ge=16, multiple_of=16, description="height of the input, in pixels")
    width_px: int = Field(80, ge=16, multiple_of=16, description="width of the input, in pixels")


def names(params: Mapping[str, Any]) -> Sequence[str]:
    """The joints."""
    return COCO_17


class HeatmapNet(nn.Module):
    """Images uint8 (n, 3, H, W) to heatmaps (n, K, H/4, W/4)."""

    def __init__(self, params: Mapping[str, Any], joints: int) -> None:
        super().__init__()
        w = params["width"]
        self.crop = params["height_px"], params["width_px"]
        if any(size % DOWN for size in self.crop):
            raise ParamsError(f"heatmap_net: height_px and width_px are {self.crop}; expected multiples of {DOWN}")
        self.heat = self.crop[0] // 4, self.crop[1] // 4
        self.sigma, self.blur = params["sigma"], params["blur"]
        self.stem = nn.Sequential(*_convolved(3, w, 2))
        self.down = nn.Sequential(Block(w, 2 * w), Block(2 * w, 4 * w), Block(4 * w, 8 * w))
        self.up = nn.Sequential(*_doubled(8 * w, 4 * w), *_doubled(4 * w, 2 * w))
        self.last = nn.Conv2d(2 * w, joints, 1)

    def heatmaps(self, images: torch.Tensor) -> torch.Tensor:
        """Heatmaps (n, K, H/4, W/4) of images (n, 3, H, W), uint8 or float of 0 to 255."""
        maps: torch.Tensor = self.last(self.up(self.down(self.stem(images.float() / 127.5 - 1))))
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Output (n, outputs, h / 2, w / 2), rounded up."""
        return self.heatmaps(images)


class Block(nn.Module):
    """Two normalised 3x3 convolutions, the first at stride 2, beside a 1x1 one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_convolved(inputs, outputs, 2), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output (n, outputs, h / 2, w / 2), rounded up."""
        return torch.relu(self.main(x) + self.shortcut(x))


def _convolved(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def _doubled(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def build(params: Mapping[str, Any], classes: int) -> HeatmapNet:
    """The untrained model."""
    return HeatmapNet(params, classes)


def predictor(
    net: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a model."""
    return _heatmaps.PosePredictor(net, model, params, device, precision)
