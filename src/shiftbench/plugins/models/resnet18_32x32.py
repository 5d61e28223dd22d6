"""ResNet-18 for images of 32 px: a first convolution of 3x3 without pooling; 512 features, 11.2 M parameters.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1, with the first layer
of their section 4.2 for CIFAR-10 and shortcuts of 1x1 convolutions, as OpenOOD and most of the field have it. Tensors
have the names of OpenOOD's `ResNet18_32x32`, but for the last layer (`head`, there `fc`), so that its released
checkpoints can be loaded: `released: {use: given, path: .../best.ckpt}` under `trainers:`.

`mean` and `std` normalise channels of 0..1 within the network; the default is CIFAR-10's, for CIFAR-100 OpenOOD takes
mean (0.5071, 0.4867, 0.4408) and std (0.2675, 0.2565, 0.2761). `norm: group` (Wu and He 2018, "Group Normalization") is
for networks that are adapted on a few samples.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from torch import nn

from shiftbench.plugins.models import _resnet

TITLE = "ResNet-18 (32 px)"
TASK = "classification"
prepare_batch = _resnet.prepare_batch


class Options(_resnet.Options):
    norm: Literal["batch", "group"] = Field("batch", description="batch norm, or group norm of 32 groups")
    depths: list[int] = Field([2, 2, 2, 2], description="number of blocks of each of the four widths")


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    network = _resnet.ResNet(params["depths"], classes, params["mean"], params["std"])
    return _resnet.grouped(network) if params["norm"] == "group" else network
