"""EfficientNet-Lite1, pretrained on ImageNet-1k.

Source: Tan and Le, "EfficientNet", ICML 2019, arXiv:1905.11946; the Lite variants (ReLU6, no
squeeze-and-excitation) by R. Liu, 2020; Apache-2.0. Weights as in `sources/efficientnet_lite1.yaml`.
Original preprocessing: `size: 240, crop: 0.875`, bicubic. The default of 128 px without a crop is for
small pictures whose object fills the frame; 240 px cost about three and a half times as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from shiftbench import refs
from shiftbench.inference import nets
from shiftbench.models import _efficientnet_lite, _pretrained
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "classification"
PRETRAINED_ON = "imagenet"
CITATION = _efficientnet_lite.CITATION
PARAMS: dict[str, object] = {"size": 128, "crop": 1.0}
ARCHITECTURE, SOURCE = "tf_efficientnet_lite1", "efficientnet_lite1"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the package's weights."""
    return [refs.sources(SOURCE)]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the net with fresh weights; features are (n, 1280)."""
    return _efficientnet_lite.build(ARCHITECTURE, classes)


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Return the state dict of the packaged ImageNet weights."""
    return _efficientnet_lite.pretrained(ARCHITECTURE, SOURCE, inputs)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
