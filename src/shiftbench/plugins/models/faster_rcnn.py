"""Faster R-CNN: proposals of boxes, then a class and a better box for each; torchvision's, with features of each box.

The backbones of torchvision have a feature pyramid and fresh weights (checkpoints: trainer `given`). `backbone: small`
has three layers of stride 2, one map, boxes of about 16 to 32 pixels and a head of 128 features, so that both stages
train on a CPU in a minute.
Inputs are squares. The logits and features of each final box are those of the second stage on that box once more (the
C classes, without background), since torchvision keeps none of its proposal. Images without a box are all background to
both stages. `torchvision_detection` has more networks, without the logits and features of a box.

Source: Ren et al. 2015, "Faster R-CNN", arXiv:1506.01497; Lin et al. 2017, "Feature Pyramid Networks"; torchvision's
`fasterrcnn_*_fpn`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes
from shiftbench.plugins.models._boxes import Detections, Truth

TITLE = "Faster R-CNN"
TASK = "detection"
BACKBONES = {
    "mobilenet_v3_large_320": "fasterrcnn_mobilenet_v3_large_320_fpn",
    "resnet50": "fasterrcnn_resnet50_fpn",
    "small": "",
}
WIDTHS, POOLED, HIDDEN = (16, 32, 64), 5, 128
"""Of `small`: channels of its layers, side of the pooled map of a box, features of its head."""


class Options(declare.Options):
    backbone: Literal["mobilenet_v3_large_320", "resnet50", "small"] = Field(
        "mobilenet_v3_large_320",
        description="layers before the two stages; small: three, for images of about 64 pixels",
    )
    size: int = Field(320, ge=32, description="side of the input, in pixels")
    top: _boxes.Top = 100
    threshold: _boxes.Threshold = 0.05


class FasterRcnn(nn.Module):
    """Images uint8 (n, 3, h, w) to boxes; see `_boxes`."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        options = {
            "min_size": params["size"],
            "max_size": params["size"],
            "box_score_thresh": params["threshold"],
            "box_detections_per_img": params["top"],
        }
        make = _small if params["backbone"] == "small" else _named(params["backbone"])
        self.net: Any = make(classes + 1, **options)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores of all detections, from the first image on, (k,)."""
        return torch.cat([detections.scores for detections in self.detect(images)])

    def loss(self, images: torch.Tensor, truths: Sequence[Truth]) -> torch.Tensor:
        """The sum of the four losses of a batch, in either mode of the network."""
        targets = [
            {"boxes": truth.boxes.to(images.device), "labels": truth.labels.to(images.device) + 1} for truth in truths
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

    def detect(self, images: torch.Tensor) -> list[Detections]:
        """Detections in each image, from the highest score down."""
        network, size = self.net, tuple(images.shape[2:])
        batch, _ = network.transform(list(images.float() / 255))
        maps = network.backbone(batch.tensors)
        proposals, _ = network.rpn(batch, maps)
        detections, _ = network.roi_heads(maps, proposals, batch.image_sizes)
        boxes = [one["boxes"] for one in detections]
        features = network.roi_heads.box_head(network.roi_heads.box_roi_pool(maps, boxes, batch.image_sizes))
        logits = network.roi_heads.box_predictor(features)[0][:, 1:]
        counts = [len(one) for one in boxes]
        placed = network.transform.postprocess(detections, batch.image_sizes, [size] * len(images))
        return [
            Detections(one["boxes"], one["scores"], one["labels"] - 1, own, own_features)
            for one, own, own_features in zip(placed, logits.split(counts), features.split(counts), strict=True)
        ]


def _named(backbone: str) -> Callable[..., nn.Module]:
    from torchvision.models import detection

    make: Callable[..., nn.Module] = getattr(detection, BACKBONES[backbone])
    return lambda count, **options: make(weights=None, weights_backbone=None, num_classes=count, **options)


class _Trunk(nn.Sequential):
    """Layers that give one map, under the name that torchvision's networks look it up by."""

    out_channels = WIDTHS[-1]

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The map of images (n, 3, h, w), (n, 64, h / 8, w / 8)."""
        features: torch.Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return {"0": features}


def _small(count: int, **options: Any) -> nn.Module:
    """A network for images of about 64 pixels; 40 proposals an image, 64 of 576 places teach the first stage."""
    from torchvision.models import detection
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.rpn import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    layers: list[nn.Module] = []
    for before, after in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
        for wide, stride in ((before, 2), (after, 1)):
            layers += [nn.Conv2d(wide, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)]
            layers.append(nn.ReLU())
    network: nn.Module = detection.FasterRCNN(
        _Trunk(*layers),
        rpn_anchor_generator=AnchorGenerator(((16, 23, 32),), ((0.5, 1.0, 2.0),)),
        rpn_pre_nms_top_n_train=200,
        rpn_post_nms_top_n_train=40,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_test=40,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=32,
        box_roi_pool=MultiScaleRoIAlign(["0"], POOLED, 2),
        box_head=TwoMLPHead(WIDTHS[-1] * POOLED**2, HIDDEN),
        box_predictor=FastRCNNPredictor(HIDDEN, count),
        **options,
    )
    return network


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    if params["backbone"] not in BACKBONES:
        raise ParamsError(f"faster_rcnn: backbone is {params['backbone']!r} ({suggest(params['backbone'], BACKBONES)})")
    if params["size"] < 32 or params["top"] < 1:
        raise ParamsError(
            f"faster_rcnn: size {params['size']} and top {params['top']}; expected 32 or more, and 1 or more"
        )
    return FasterRcnn(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> _boxes.Array:
    """Uint8 (n, 3, size, size)."""
    return _boxes.square(samples, params["size"])


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a network with its weights."""
    return _boxes.BoxPredictor(network, model, params, device, precision)
