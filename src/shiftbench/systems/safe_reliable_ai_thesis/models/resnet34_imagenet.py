"""ResNet-34 that starts from ImageNet's weights, with a 3x3 first convolution for images of 32 px; pooling is kept.

The first convolution (3x3, stride 1) and the last layer are fresh, by the training seed; all other weights are
torchvision's when training starts. The max-pooling stays, so the first stage sees 16 x 16 positions. `resnet34_32x32`
is the usual model for 32 px: without pooling, from fresh weights.

Source: `main.py` of AoShuang92/Confidence_Calibration_CL at 8ab838b: `models.resnet34(pretrained=True)`, and its
normalisation of CIFAR-10.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import nn

from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _pretrained, _resnet

TASK = "classification"
FRESH = ("conv1.", "fc.")
prepare_batch = _resnet.prepare_batch


class Options(declare.Options):
    weights: str = Field("IMAGENET1K_V1", description="torchvision's name of the weights to start from")
    size: fields.Size = 32
    mean: fields.Mean = Field([0.491, 0.482, 0.446])
    std: fields.Std = Field([0.247, 0.243, 0.261])


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    model = _torchvision(None)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    model.fc = nn.Linear(model.fc.in_features, classes)
    return _pretrained.Split(model, classes, params["mean"], params["std"])


def initial(params: Mapping[str, Any]) -> State:
    """Torchvision's weights of ImageNet (a download), without first convolution and last layer."""
    state = _torchvision(params["weights"]).state_dict()
    return {f"body.{name}": t for name, t in state.items() if not name.startswith(FRESH)}


def _torchvision(weights: str | None) -> Any:
    from torchvision import models

    return models.resnet34(weights=weights)
