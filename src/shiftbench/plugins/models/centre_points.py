"""A small detector that sees objects as points: convolutions, a top-down path, one map of cells.

Two 3x3 convolutions a stage, batch normalisation and ReLU, widths w, 2w, 4w, 4w at strides 2, 4, 8, 16; 1x1
convolutions bring the last three to 2w, each is doubled (nearest) and added to the one before, and a 3x3 convolution
ends at stride 4. There each cell gives C logits and four numbers of a box. `head: centre`: the box of the object
whose centre is there; boxes are the peaks of 3x3 cells. `head: fcos`: the sides' distances in all cells near a
centre; boxes are thinned by NMS at 0.6.

Source: Zhou, Wang and Kraehenbuehl 2019, "Objects as Points", arXiv:1904.07850; Tian et al. 2019, "FCOS",
arXiv:1904.01355 (without its centre-ness); Lin et al. 2017, "Feature Pyramid Networks". Widths and targets are those
that the small versions of COCO-O and m-hood were tried with: 161 k parameters at w = 16.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.losses.classification import penalty_focal, sigmoid_focal
from shiftbench.plugins.models import _boxes, _cells
from shiftbench.plugins.models._boxes import Detections, Truth

TASK = "detection"
STRIDE, OVERLAP = 4, 0.6
NECKS, HEADS = ("top_down", "none"), ("centre", "fcos")


class Options(declare.Options):
    size: int = Field(128, ge=32, multiple_of=16, description="side of the input, in pixels; 16 divides it")
    width: int = Field(16, ge=1, description="channels of the first stage, w above")
    depth: int = Field(2, ge=1, description="convolutions of a stage")
    neck: Literal["top_down", "none"] = Field(
        "top_down", description="the top-down path; none: the last stage alone, magnified"
    )
    head: Literal["centre", "fcos"] = Field(
        "centre", description="cells that give a box: the one at its centre, or all near its centre"
    )
    top: _boxes.Top = 30
    threshold: _boxes.Threshold = 0.01


class CentrePoints(nn.Module):
    """Images uint8 (n, 3, h, w) to boxes; see `_boxes`."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        width = params["width"]
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.stages = nn.ModuleList(
            _stage(before, after, params["depth"]) for before, after in zip((3, *widths[:-1]), widths, strict=True)
        )
        used = widths[1:] if params["neck"] == "top_down" else widths[-1:]
        self.lateral = nn.ModuleList(nn.Conv2d(wide, 2 * width, 1) for wide in used)
        self.last = nn.Sequential(*_layer(2 * width, 2 * width, 1))
        self.score, self.place = nn.Conv2d(2 * width, classes, 1), nn.Conv2d(2 * width, 4, 1)
        nn.init.constant_(_bias(self.score), -4.0)
        self.classes, self.centred = classes, params["head"] == "centre"
        self.top, self.threshold = params["top"], params["threshold"]

    def maps(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features (n, 2w, h, w), logits (n, C, h, w) and box values (n, 4, h, w), all at stride 4."""
        x = images.float() / 127.5 - 1
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        size = levels[1].shape[2:]
        down = self.lateral[-1](levels[-1])
        for lateral, level in zip(self.lateral[-2::-1], levels[-2:0:-1], strict=False):
            down = F.interpolate(down, level.shape[2:], mode="nearest") + lateral(level)
        if down.shape[2:] != size:
            down = F.interpolate(down, size, mode="nearest")
        features = self.last(down)
        return features, self.score(features), self.place(features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of all cells, (n, C, h, w)."""
        return self.maps(images)[1]

    def loss(self, images: torch.Tensor, truths: Sequence[Truth]) -> torch.Tensor:
        """The loss of a batch: focal for the logits, smooth L1 at the cells that have a box."""
        _, logits, values = self.maps(images)
        size = (logits.shape[2], logits.shape[3])
        if self.centred:
            heat = _cells.heat(truths, self.classes, size, STRIDE).to(logits.device)
            return penalty_focal(logits, heat) + self._at_centres(values, truths, size)
        labels, sides = (part.to(logits.device) for part in _cells.near(truths, size, STRIDE))
        positive = labels[:, None] == torch.arange(self.classes, device=labels.device)[:, None, None]
        own = labels >= 0
        apart = F.smooth_l1_loss(values, sides, reduction="none", beta=0.1).sum(dim=1)
        return sigmoid_focal(logits, positive) + (apart * own).sum() / own.sum().clamp(min=1)

    def _at_centres(self, values: torch.Tensor, truths: Sequence[Truth], size: tuple[int, int]) -> torch.Tensor:
        predicted, expected = [], []
        for at, truth in enumerate(truths):
            x, y = _cells.centres(truth, size, STRIDE)
            predicted.append(values[at][:, y, x].T)
            expected.append(_cells.centre_values(truth, size, STRIDE).to(values.device))
        both = torch.cat(predicted), torch.cat(expected)
        return F.smooth_l1_loss(*both, reduction="sum") / max(1, len(both[0]))

    def detect(self, images: torch.Tensor) -> list[Detections]:
        """Detections in each image, from the highest score down."""
        features, logits, values = self.maps(images)
        scores = _cells.peaks(logits) if self.centred else torch.sigmoid(logits)
        return [self._detections(*parts) for parts in zip(features, logits, values, scores, strict=True)]

    def _detections(
        self, features: torch.Tensor, logits: torch.Tensor, values: torch.Tensor, scores: torch.Tensor
    ) -> Detections:
        best, classes, x, y = _cells.highest(scores, self.top if self.centred else 10 * self.top)
        kept = best >= self.threshold
        best, classes, x, y = best[kept], classes[kept], x[kept], y[kept]
        boxes = (_cells.centre_boxes if self.centred else _cells.near_boxes)(values[:, y, x].T, x, y, STRIDE)
        if not self.centred:
            from torchvision.ops import batched_nms

            kept = batched_nms(boxes, best, classes, OVERLAP)[: self.top]
            boxes, best, classes, x, y = boxes[kept], best[kept], classes[kept], x[kept], y[kept]
        return Detections(boxes, best, classes, logits[:, y, x].T, features[:, y, x].T)


def _layer(before: int, after: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def _stage(before: int, after: int, depth: int) -> nn.Sequential:
    layers = _layer(before, after, 2)
    for _ in range(depth - 1):
        layers += _layer(after, after, 1)
    return nn.Sequential(*layers)


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None  # noqa: S101 - tells mypy
    return layer.bias


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    for option, known in (("neck", NECKS), ("head", HEADS)):
        if params[option] not in known:
            raise ParamsError(f"centre_points: {option} is {params[option]!r} ({suggest(params[option], known)})")
    if params["size"] % 16 or params["size"] < 32 or params["depth"] < 1 or params["width"] < 1:
        raise ParamsError(
            f"centre_points: size {params['size']}, width {params['width']} and depth {params['depth']}; expected a "
            "size of 32 or more that 16 divides, and at least 1 of the others"
        )
    return CentrePoints(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> _boxes.Array:
    """Uint8 (n, 3, size, size)."""
    return _boxes.square(samples, params["size"])


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a network with its weights."""
    return _boxes.BoxPredictor(network, model, params, device, precision)
