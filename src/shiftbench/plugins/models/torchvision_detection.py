"""A detector of torchvision: `frcnn: {use: torchvision_detection, name: fasterrcnn_resnet50_fpn}`.

With `weights`, the trainer `pretrained` downloads torchvision's checkpoint. The network then has COCO's 91 numbers; the
80 in use are the classes of a dataset with COCO's categories. Without `weights`, it has the dataset's classes, and the
trainer `boxes` can train it. At test the network resizes each image as its evaluation on COCO does.

Source: torchvision's documentation, "Models and pre-trained weights", section on object detection (SSD300, SSDLite,
RetinaNet, FCOS, Faster and Mask R-CNN).
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes, _coco, _images
from shiftbench.plugins.models._boxes import Detections, Truth

TITLE = "torchvision detector"
TASK = "detection"
PRETRAINED_ON = "coco"
BACKGROUND = ("__background__", "N/A")


class Options(declare.Options):
    name: str = Field("fasterrcnn_resnet50_fpn", description="torchvision's name of the detector")
    weights: str = Field(
        "", description="torchvision's name of the checkpoint, such as COCO_V1 or DEFAULT; empty: none"
    )
    size: int = Field(128, ge=1, description="side of the squares of training, in pixels")
    min_size: int = Field(
        0, ge=0, description="shorter side of images at test, in pixels (R-CNN, RetinaNet, FCOS); 0: the network's own"
    )


class Detector(nn.Module):
    """A detector of torchvision under our names; labels of its network begin at 1."""

    def __init__(self, network: nn.Module, numbers: Sequence[int]) -> None:
        super().__init__()
        self.net = network
        self.numbers = list(numbers)
        labels = torch.full((max(numbers) + 1,), -1)
        labels[torch.tensor(self.numbers)] = torch.arange(len(self.numbers))
        self.register_buffer("labels", labels, persistent=False)

    def loss(self, images: torch.Tensor, truths: Sequence[Truth]) -> torch.Tensor:
        """The sum of the network's own losses; without a box all places are background."""
        device = images.device
        numbers = torch.tensor(self.numbers)
        targets = [{"boxes": truth.boxes.to(device), "labels": numbers[truth.labels].to(device)} for truth in truths]
        training = self.net.training
        self.net.train()  # in evaluation mode it gives boxes; statistics are then not to move
        for module in self.net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(training)
        losses: dict[str, torch.Tensor] = self.net(list(images.float() / 255), targets)
        self.net.train(training)
        return torch.stack(list(losses.values())).sum()

    def detect(self, images: Sequence[torch.Tensor]) -> list[Detections]:
        """Detections in images uint8 (3, h, w), each of its own size."""
        outputs = self.net([image.float() / 255 for image in images])
        return [self._detections(one) for one in outputs]

    def _detections(self, one: Mapping[str, torch.Tensor]) -> Detections:
        labels: torch.Tensor = self.labels  # type: ignore[assignment]
        classes = labels[one["labels"]]
        kept = classes >= 0
        return Detections(one["boxes"][kept], one["scores"][kept], classes[kept])


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights."""
    if not params["weights"]:
        return Detector(_create(params, num_classes=classes + 1), range(1, classes + 1))
    if classes != len(_coco.CLASSES):
        raise ModelError(
            f"torchvision's weights know the {len(_coco.CLASSES)} categories of COCO; the dataset has {classes} classes"
        )
    numbers = [at for at, name in enumerate(_categories(params)) if name not in BACKGROUND]
    return Detector(_create(params, num_classes=len(_categories(params))), numbers)


def _create(params: Mapping[str, Any], **options: Any) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models.detection)
    if params["name"] not in known:
        raise ModelError(f"torchvision has no detector {params['name']!r}; {suggest(params['name'], known)}")
    if params["min_size"]:
        options |= {"min_size": params["min_size"]}
    network: nn.Module = models.get_model(params["name"], weights=None, weights_backbone=None, **options)
    return network


def _weights(params: Mapping[str, Any]) -> Any:
    from torchvision import models

    try:
        return models.get_model_weights(params["name"])[params["weights"]]
    except (KeyError, ValueError) as error:
        raise ModelError(f"torchvision has no weights {params['weights']!r} of {params['name']}: {error}") from None


def _categories(params: Mapping[str, Any]) -> list[str]:
    names: list[str] = _weights(params).meta["categories"]
    return names


def pretrained(params: Mapping[str, Any], inputs: Mapping[Any, Any]) -> nets.State:
    """The state dict that torchvision downloads."""
    if not params["weights"]:
        raise ModelError("torchvision_detection: name `weights` (COCO_V1, DEFAULT) to have torchvision's own")
    state = _weights(params).get_state_dict(check_hash=True)
    return {f"net.{name}": tensor for name, tensor in state.items()}


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> _boxes.Array:
    """Uint8 (n, 3, size, size), for training."""
    return _boxes.square(samples, params["size"])


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a network with its weights; it has `net`."""
    return _Predictor(network, device, precision)


class _Predictor:
    """A detector and images of any size, one by one."""

    def __init__(self, network: nn.Module, device: str, precision: str) -> None:
        self.device, self.precision = nets.pick_device(device), precision
        self.net: Any = network.to(self.device).eval()

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        kept: list[nets.Outputs] = []
        autocast = torch.autocast(
            self.device.type, nets.PRECISIONS[self.precision], enabled=self.precision != "float32"
        )
        with torch.inference_mode(), autocast:
            for sample in samples:
                image = _images.to_colour(sample.fields["image"]).transpose(2, 0, 1).copy()
                detections = self.net.detect([torch.from_numpy(image).to(self.device)])
                kept.append(_boxes.outputs([sample], detections, image.shape[1:]))
        return {name: _boxes.ragged([one[name][0] for one in kept]) for name in kept[0]} if kept else {}
