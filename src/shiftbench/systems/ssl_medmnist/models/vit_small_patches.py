"""ViT for images of 64 px: patches of 16 px, so 16 of them, and a class token; needs shiftbench[timm].

vit_small_patch16_224 is the paper's ViT-S (384 wide), vit_tiny_patch16_224 what the files *_vit.yaml
of its code train.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, as solo-learn makes it out of timm's (`img_size:
64`, scripts/pretrain/medmnist/dino_vit.yaml of KarahanS/Self-Supervised-Learning-for-Medical-Image-Analysis).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _optional, _pretrained

TASK = "classification"
PRETRAINED_ON = "imagenet"


class Options(declare.Options):
    name: str = Field("vit_small_patch16_224", description="timm's name of the architecture")
    size: fields.Size = 64
    crop: fields.Crop = 1.0
    interpolation: _images.Interpolation = "bicubic"
    mean: fields.Mean = Field([0.5, 0.5, 0.5])
    std: fields.Std = Field([0.5, 0.5, 0.5])


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights.

    Raises:
        ModelError: timm is missing.
    """
    model = _created(params, num_classes=classes)
    return _pretrained.Split(model, classes, params["mean"], params["std"])


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict that timm downloads, its positions resampled to the size."""
    state: nets.State = _created(params, pretrained=True).state_dict()
    return state


def _created(params: Mapping[str, Any], **options: object) -> nn.Module:
    timm = _optional.package("timm", "timm")
    model: nn.Module = timm.create_model(params["name"], img_size=params["size"], **options)
    return model


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
