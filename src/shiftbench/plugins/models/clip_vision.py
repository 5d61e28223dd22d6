"""CLIP's vision transformer from state dicts of yours, with text embeddings as its head.

    models:
      clip_vit_b32: {use: clip_vision, path: heads_b32.safetensors}
    trainers:
      tuned_on_svhn: {use: given, path: clip_b32_svhn.safetensors}

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
arXiv:2103.00020; names of tensors are those of `CLIPVisionModel` of Hugging Face's transformers, whose query, key and
value become one layer (they share their input). Such a file holds neither the projection into the joint space nor a
zero-shot head: `path` is a file with `visual_projection.weight` (out, width) and `head.weight` (classes, out), the
normalised text embeddings times the logit scale, one row per class in the dataset's order. Features have length 1.
Defaults are those of ViT-B/32; B/16 has `patch: 16`; L/14 `width: 1024, depth: 24, heads: 16, patch: 14, out: 768`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, clip_image_tower

TITLE = "CLIP vision transformer"
TASK = "classification"


class Options(declare.Options):
    width: int = Field(768, ge=1, description="features of a token")
    depth: int = Field(12, ge=1, description="blocks")
    heads: int = Field(12, ge=1, description="attention heads; their number divides `width`")
    patch: int = Field(32, ge=1, description="side of a patch, in pixels")
    out: int = Field(512, ge=1, description="features of the joint space")
    size: fields.Size = 224
    path: str = Field(
        "", description="file with the projection and the text embeddings; empty: the checkpoint has them"
    )


class Block(nn.Module):
    """Pre-norm self-attention and MLP with x * sigmoid(1.702 x), both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width) to tokens of the same shape."""
        n, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).reshape(n, tokens, width))
        grown = self.fc1(self.norm2(x))
        summed: torch.Tensor = x + self.fc2(grown * torch.sigmoid(1.702 * grown))
        return summed


class ClipVision(nn.Module):
    """Images (n, 3, size, size) in 0..255 to features (n, out) of length 1 and logits."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        width, side = params["width"], params["size"] // params["patch"]
        self.heads_file = params["path"]
        self.stem = nn.Conv2d(3, width, params["patch"], params["patch"], bias=False)
        self.token = nn.Parameter(width**-0.5 * torch.randn(width))
        self.position = nn.Parameter(width**-0.5 * torch.randn(side * side + 1, width))
        self.pre_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, params["heads"]) for _ in range(params["depth"]))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, params["out"], bias=False)
        self.head = nn.Linear(params["out"], classes, bias=False)
        for name in ("mean", "std"):
            values = torch.tensor(clip_image_tower.INPUT[name])[:, None, None]
            self.register_buffer(name, 255 * values, persistent=False)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised tokens (n, 1 + t, width) of images: class token and patches, plus position."""
        patches = self.stem((x.float() - self.mean) / self.std).flatten(2).transpose(1, 2)
        token = self.token.expand(len(patches), 1, -1)
        tokens: torch.Tensor = self.pre_norm(torch.cat([token, patches], 1) + self.position)
        return tokens

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The projected class token (n, out), of length 1."""
        tokens = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        return F.normalize(self.project(self.norm(tokens[:, 0])), dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def adopt(self, state: State) -> State:
        """Tensors of a `CLIPVisionModel` under our names, projection and head from the file `path`."""
        if self.heads_file:
            state = {**state, **nets.read_state(Path(self.heads_file))}
        return adopted(state)


_NAMES = (
    (r"^vision_model\.", ""),
    (r"^embeddings\.class_embedding$", "token"),
    (r"^embeddings\.patch_embedding\.", "stem."),
    (r"^embeddings\.position_embedding\.weight$", "position"),
    (r"^pre_layrnorm\.", "pre_norm."),
    (r"^post_layernorm\.", "norm."),
    (r"^visual_projection\.", "project."),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".out."),
    (r"\.mlp\.fc", ".fc"),
)


def adopted(state: State) -> State:
    """A state dict with the names of transformers under ours; ours stay as they are."""
    renamed: State = {}
    for name, tensor in state.items():
        if name.endswith("position_ids"):
            continue
        for pattern, ours in _NAMES:
            name = re.sub(pattern, ours, name)  # noqa: PLW2901
        renamed[name] = tensor
    for name in [name for name in renamed if ".self_attn.q_proj." in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[name.replace("self_attn.q_proj", "qkv")] = torch.cat(parts)
    return renamed


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return ClipVision(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size): the shorter side resized (bicubic), the middle cut."""
    size = params["size"]
    return _images.colour_batch(samples, lambda image: _images.resize_and_crop(image, size, size))
