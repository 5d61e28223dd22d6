"""Any classifier of torchvision by its name: `mine: {use: torchvision, name: resnet50}`.

The trainer `pretrained` downloads the checkpoint from download.pytorch.org. `size`, `crop`, `interpolation`, `mean` and
`std` are the usual ones of ImageNet; see the checkpoint's page for a network that needs others.
Source: the torchvision documentation, "Models and pre-trained weights".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _pretrained

TITLE = "torchvision model"
TASK = "classification"
PRETRAINED_ON = "imagenet"


class Options(declare.Options):
    name: str = Field("resnet18", description="torchvision's name of the model")
    weights: str = Field(
        "DEFAULT", description="torchvision's name of the checkpoint, such as DEFAULT or IMAGENET1K_V1"
    )
    size: fields.Size = 224
    crop: fields.Crop = 0.875
    interpolation: _images.Interpolation = "bilinear"
    mean: fields.Mean = Field(list(_pretrained.IMAGENET_MEAN))
    std: fields.Std = Field(list(_pretrained.IMAGENET_STD))


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights."""
    network = _create(params["name"], weights=None, num_classes=classes)
    return _pretrained.Split(network, classes, params["mean"], params["std"])


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict that torchvision downloads."""
    state: nets.State = _create(params["name"], weights=params["weights"]).state_dict()
    return state


def _create(name: str, **options: Any) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ModelError(f"torchvision has no classifier {name!r}; {suggest(name, known)}")
    try:
        network: nn.Module = models.get_model(name, **options)
    except (KeyError, ValueError) as error:
        raise ModelError(f"torchvision cannot make {name}: {error}; check `weights:`") from None
    return network


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
