"""Faster R-CNN: proposals of boxes, then a class and a better box for each; torchvision's, with features of each box.

`backbone`: `mobilenet_v3_large_320` or `resnet50`, each with a feature pyramid, weights fresh (checkpoints: trainer
`given`). Inputs are squares of `size`. Of each box that is left the logits and features are those of the second stage
on that box once more (the C classes, without background), since torchvision keeps none of the proposal it came from.
Images without a box are all background to both stages. `torchvision_detection` has more nets, none of which
tells the logits and features of a box.

Source: Ren et al. 2015, "Faster R-CNN", arXiv:1506.01497; Lin et al. 2017, "Feature Pyramid Networks"; torchvision's
`fasterrcnn_*_fpn`. Options: `top` boxes an image at most, `threshold` lowest score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

from shiftbench.errors import ParamsError, near
from shiftbench.inference import nets
from shiftbench.models import _boxes
from shiftbench.models._boxes import Found, Truth
from shiftbench.sample import Sample

TASK = "detection"
PARAMS: dict[str, object] = {
    "backbone": "mobilenet_v3_large_320",
    "size": 320,
    "top": 100,
    "threshold": 0.05,
}
BACKBONES = {
    "mobilenet_v3_large_320": "fasterrcnn_mobilenet_v3_large_320_fpn",
    "resnet50": "fasterrcnn_resnet50_fpn",
}


class FasterRcnn(nn.Module):
    """Images uint8 (n, 3, h, w) to boxes; see `_boxes`."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        from torchvision.models import detection

        make = getattr(detection, BACKBONES[params["backbone"]])
        self.net: Any = make(
            weights=None,
            weights_backbone=None,
            num_classes=classes + 1,
            min_size=params["size"],
            max_size=params["size"],
            box_score_thresh=params["threshold"],
            box_detections_per_img=params["top"],
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of all that is found, from the first image on, (k,)."""
        return torch.cat([found.scores for found in self.detect(images)])

    def loss(self, images: torch.Tensor, truths: Sequence[Truth]) -> torch.Tensor:
        """Return the sum of the four losses of a batch, in either mode of the net."""
        targets = [
            {"boxes": truth.boxes.to(images.device), "labels": truth.labels.to(images.device) + 1}
            for truth in truths
        ]
        stages = (self.net, self.net.rpn, self.net.roi_heads)
        before = [stage.training for stage in stages]
        try:
            for stage in stages:  # not their layers: normalisation stays as it is
                stage.training = True
            losses = self.net(list(images.float() / 255), targets)
        finally:
            for stage, mode in zip(stages, before, strict=True):
                stage.training = mode
        return torch.stack(list(losses.values())).sum()

    def detect(self, images: torch.Tensor) -> list[Found]:
        """Return what is found in each image, from the highest score down."""
        net, size = self.net, tuple(images.shape[2:])
        batch, _ = net.transform(list(images.float() / 255))
        maps = net.backbone(batch.tensors)
        proposals, _ = net.rpn(batch, maps)
        found, _ = net.roi_heads(maps, proposals, batch.image_sizes)
        boxes = [one["boxes"] for one in found]
        features = net.roi_heads.box_head(
            net.roi_heads.box_roi_pool(maps, boxes, batch.image_sizes)
        )
        logits = net.roi_heads.box_predictor(features)[0][:, 1:]
        counts = [len(one) for one in boxes]
        placed = net.transform.postprocess(found, batch.image_sizes, [size] * len(images))
        return [
            Found(one["boxes"], one["scores"], one["labels"] - 1, own, cells)
            for one, own, cells in zip(
                placed, logits.split(counts), features.split(counts), strict=True
            )
        ]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the net with fresh weights from torch's generator.

    Raises:
        ParamsError: no such backbone, or a size below 32.
    """
    if params["backbone"] not in BACKBONES:
        raise ParamsError(
            f"faster_rcnn: backbone is {params['backbone']!r} ({near(params['backbone'], BACKBONES)})"
        )
    if params["size"] < 32 or params["top"] < 1:
        raise ParamsError(
            f"faster_rcnn: size {params['size']} and top {params['top']}; expected 32 or more, and 1 or more"
        )
    return FasterRcnn(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> _boxes.Array:
    """Return uint8 (n, 3, size, size)."""
    return _boxes.square(samples, params["size"])


def predictor(
    net: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """Return the predictor of a net with its weights."""
    return _boxes.BoxPredictor(net, model, params, device, precision)
