"""Transformer blocks that are cut into modules: dense or with experts, with stitches at their ends.

Source: the vision transformer of timm 0.4 (Dosovitskiy et al. 2021, equations 1 to 4), names of tensors included, so
that released DeiT weights load; stochastic depth of Huang et al. 2016, arXiv:1603.09382; stitches (LayerNorm, then
Linear) as `vmoe.py` of kamanphoebe/m2mKD has them.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.systems.m2mkd.models import _moe


class DropPath(nn.Module):
    """Leaves a residual out with probability `rate`, sample by sample, while training; the rest grows to match."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return residuals (n, ...)."""
        if not self.training or not self.rate:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Attention(nn.Module):
    """Self-attention of tokens (n, t, width)."""

    def __init__(self, width: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        n, tokens, width = x.shape
        split = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.proj(attended.transpose(1, 2).reshape(n, tokens, width))
        return out


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        out: torch.Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Stitch(nn.Module):
    """LayerNorm and Linear between the widths of a student and of the meta network."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.ln, self.fc = nn.LayerNorm(before), nn.Linear(before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens (n, t, after)."""
        out: torch.Tensor = self.fc(self.ln(x))
        return out


class Block(nn.Module):
    """Pre-norm attention and MLP (or experts), both residual, between stitches where it has some.

    Args:
        params: `width`, `heads`, `mlp`, `qkv_bias`, `eps`, `experts`, `top_k`.
        drop: rate of stochastic depth.
        stitches: the meta's width at its entry and at its exit, 0 for none.
    """

    def __init__(self, params: Mapping[str, Any], drop: float, stitches: tuple[int, int]) -> None:
        super().__init__()
        width, hidden = params["width"], params["mlp"] * params["width"]
        before, after = stitches
        self.pre_stitch = Stitch(before, width) if before else None
        self.norm1 = nn.LayerNorm(width, eps=params["eps"])
        self.attn = Attention(width, params["heads"], bias=params["qkv_bias"])
        self.norm2 = nn.LayerNorm(width, eps=params["eps"])
        if params["experts"]:
            self.moe = _moe.Mixture(width, hidden, params["experts"], params["top_k"])
        else:
            self.mlp = Mlp(width, hidden)
        self.drop_path = DropPath(drop)
        self.post_stitch = Stitch(width, after) if after else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width, or the stitch's width) to tokens."""
        x = self.pre_stitch(x) if self.pre_stitch else x
        x = x + self.drop_path(self.attn(self.norm1(x)))
        inner = self.moe if hasattr(self, "moe") else self.mlp
        x = x + self.drop_path(inner(self.norm2(x)))
        return self.post_stitch(x) if self.post_stitch else x
