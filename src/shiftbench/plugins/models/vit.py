"""Small vision transformer for 28 px grey images: a convolutional stem or patches, four pre-norm blocks.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, equations 1 to 4; the stem is that of Xiao et
al., "Early Convolutions Help Transformers See Better", NeurIPS 2021. Differs: mean pooling over tokens instead of a
class token. With 7x7 patches instead of the stem (`patch: 7`, equation 1) it reached 0.84 instead of 0.87 on Fashion-
MNIST (8,000 training images), but has no batch normalisation, whose statistics a merged network would lack. `embed`,
`blocks` and `norm` are separate, so that methods can walk through them layer by layer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    width: int = Field(48, ge=1, description="features of a token")
    depth: int = Field(4, ge=1, description="blocks")
    heads: int = Field(4, ge=1, description="attention heads; their number divides `width`")
    mlp: int = Field(2, ge=1, description="width of the MLP, in multiples of `width`")
    size: fields.Size = 28
    patch: int = Field(
        0, ge=0, description="side of a patch, in pixels; 0: a convolutional stem, a token for 8x8 pixels"
    )


class Block(nn.Module):
    """Pre-norm self-attention and MLP, both residual (equations 2 and 3)."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp * width), nn.GELU(), nn.Linear(mlp * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width) to tokens of the same shape."""
        n, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).reshape(n, tokens, width))
        grown: torch.Tensor = x + self.mlp(self.norm2(x))
        return grown


class VisionTransformer(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features (n, width) and logits."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        width, patch = params["width"], params["patch"]
        side = params["size"] // patch if patch else -(-params["size"] // 8)
        self.stem: nn.Module = nn.Conv2d(1, width, patch, patch) if patch else _stem(width)
        self.position = nn.Parameter(0.02 * torch.randn(1, side * side, width))
        blocks = [Block(width, params["heads"], params["mlp"]) for _ in range(params["depth"])]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (n, t, width) of images: patches plus position (equation 1)."""
        patches: torch.Tensor = self.stem(x.float() / 127.5 - 1.0)
        return patches.flatten(2).transpose(1, 2) + self.position

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of the last block's normalised tokens (n, width)."""
        tokens = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        pooled: torch.Tensor = self.norm(tokens).mean(1)
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def _stem(width: int) -> nn.Sequential:
    """Three 3x3 convolutions of stride 2: a token for every 8x8 pixels."""
    layers: list[nn.Module] = []
    for before, after in ((1, width // 4), (width // 4, width // 2), (width // 2, width)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 1))


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return VisionTransformer(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
