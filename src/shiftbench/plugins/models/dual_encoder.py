"""Small dual encoder: `convnet` projected to 384 numbers, and names as sentence vectors under one trained map.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021
(https://arxiv.org/abs/2103.00020), in miniature, ours: the text tower is a frozen sentence encoder (all-MiniLM-L6-v2)
and a square map. Trained by `contrastive`, made a classifier by `zero_shot` or `linear_probe`.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _pairs, _sentences, convnet

TASK = "classification"


class Options(declare.Options):
    width: int = Field(12, ge=1, description="channels of the first layer; the others have two and four times as many")
    size: fields.Size = 28
    norm: Literal["batch", "group"] = Field("batch", description="batch norm, or group norm of four groups")
    hidden: int = Field(96, ge=1, description="features before the projection")
    scale: float = Field(10.0, gt=0, description="factor of cosines when training starts")


class DualEncoder(_pairs.Pairs):
    """Images (n, 1, size, size) in 0..255 to features (n, 384); sentence vectors (n, 384) to texts (n, 384)."""

    def __init__(self, tower: nn.Module, scale: float, classes: int) -> None:
        super().__init__(_sentences.SIZE, classes)
        self.tower = tower
        self.text = nn.Linear(_sentences.SIZE, _sentences.SIZE, bias=False)
        nn.init.eye_(self.text.weight)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @property
    def scale(self) -> torch.Tensor:
        """The trained factor of cosines, at most 100 (as in CLIP)."""
        return self.log_scale.exp().clamp(max=100.0)

    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Raw features (n, 384)."""
        raw: torch.Tensor = self.tower(x)
        return raw


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The sentence encoder."""
    return [refs.sources(_sentences.SOURCE)]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator; the map of texts begins as the identity."""
    tower = convnet.ConvNet(params["width"], params["norm"], params["hidden"], _sentences.SIZE)
    return DualEncoder(tower, params["scale"], classes)


def texts(
    network: DualEncoder, prompts: Sequence[str], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> torch.Tensor:
    """The text tower's vectors (n, 384), not normalised; gradients reach the map."""
    frozen = _frozen(tuple(prompts), inputs[refs.sources(_sentences.SOURCE)].parent)
    mapped: torch.Tensor = network.text(frozen.to(network.text.weight.device))
    return mapped


@functools.lru_cache(maxsize=8)
def _frozen(prompts: tuple[str, ...], folder: Path) -> torch.Tensor:
    return _sentences.embed(prompts, folder)


def with_head(state: nets.State) -> nets.State:
    """A state dict whose new head takes raw features."""
    return _pairs.on_raw(state)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
