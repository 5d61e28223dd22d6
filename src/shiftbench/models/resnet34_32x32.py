"""ResNet-34 for pictures of 32 px: a first convolution of 3x3 without pooling; 512 features, 21.3 M parameters.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1, with the first layer
of their section 4.2 for CIFAR-10 and shortcuts of 1x1 convolutions; the backbone of CIDER and PALM on CIFAR-100.

`mean` and `std` normalise channels of 0..1 within the net; the default is CIFAR-10's, for CIFAR-100 PALM takes mean
(0.5071, 0.4867, 0.4408) and std (0.2675, 0.2565, 0.2761).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from shiftbench.models import _resnet

TASK = "classification"
PARAMS: dict[str, object] = {**_resnet.CIFAR10}
DEPTHS = (3, 4, 6, 3)
prepare_batch = _resnet.prepare_batch


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the net with fresh weights from torch's generator."""
    return _resnet.ResNet(DEPTHS, classes, params["mean"], params["std"])
