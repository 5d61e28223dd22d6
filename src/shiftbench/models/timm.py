"""Any classifier of timm by its name: `mine: {use: timm, name: resnet50.a1_in1k}`; needs shiftbench[timm].

Weights are downloaded from the hub by the trainer `pretrained`. `size`, `crop`, `interpolation`, `mean` and
`std` are timm's usual ones; `timm.data.resolve_model_data_config` tells those of a net that wants others.
Source: Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from shiftbench.errors import ModelError, near
from shiftbench.inference import nets
from shiftbench.models import _optional, _pretrained
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "classification"
PRETRAINED_ON = "imagenet"
PARAMS: dict[str, object] = {
    "name": "resnet18",
    "size": 224,
    "crop": 0.875,
    "interpolation": "bicubic",
    "mean": list(_pretrained.IMAGENET_MEAN),
    "std": list(_pretrained.IMAGENET_STD),
}


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the net with fresh weights.

    Raises:
        ModelError: timm is missing, has no net of that name, or the net's head is not linear.
    """
    net = _create(params["name"], num_classes=classes)
    return _pretrained.Split(net, classes, params["mean"], params["std"])


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Return the state dict that timm downloads from the hub."""
    state: nets.State = _create(params["name"], pretrained=True).state_dict()
    return state


def _create(name: str, **options: Any) -> nn.Module:
    timm = _optional.package("timm", "timm")
    if not timm.is_model(name):
        raise ModelError(f"timm has no net {name!r}; {near(name, timm.list_models())}")
    net: nn.Module = timm.create_model(name, **options)
    return net


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
