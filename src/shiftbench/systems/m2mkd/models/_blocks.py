"""Transformer blocks that are cut into modules: dense or with experts, with stitches at their ends.

Source: the vision transformer of timm 0.4 (Dosovitskiy et al. 2021, equations 1 to 4), names of tensors included, so
that released DeiT weights load; stochastic depth of Huang et al. 2016, arXiv:1603.09382; stitches (LayerNorm, then
Linear) as `vmoe.py` of kamanphoebe/m2mKD has them.

Mixture of experts, instead of a block's MLP: each token goes to the top-k of E small MLPs.

    y = sum over the chosen e of softmax(gate(x) of the chosen)_e  W2_e gelu(W1_e x + b1_e) + b2_e

Source: Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017, equations 1 and 2 without noise; as fastmoe's
`FMoETransformerMLP` with its `NaiveGate` does it (laekov/fastmoe, `fmoe/layers.py`, `fmoe/linear.py`), which m2mKD's
V-MoE takes: a gate with a bias, softmax over the chosen alone, no loss that balances loads, k = 2. Experts begin as
there: weights uniform within 1 / sqrt(in x out), biases 0. Plain torch, no CUDA kernels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError

StitchWidth = Annotated[
    int, Field(ge=0, description="width of the meta network that a student is trained in; 0: no stitches")
]


class DropPath(nn.Module):
    """Leaves a residual out with probability `rate`, sample by sample, while training; the rest grows to match."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Residuals (n, ...)."""
        if not self.training or not self.rate:
            return x
        keep = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * keep / (1 - self.rate)


class Attention(nn.Module):
    """Self-attention of tokens (n, t, width)."""

    def __init__(self, width: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of the same shape."""
        n, tokens, width = x.shape
        split = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        context = F.scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.proj(context.transpose(1, 2).reshape(n, tokens, width))
        return out


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of the same shape."""
        out: torch.Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Stitch(nn.Module):
    """LayerNorm and Linear between the widths of a student and of the meta network."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.ln, self.fc = nn.LayerNorm(inputs), nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (n, t, after)."""
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
        width_in, width_out = stitches
        self.pre_stitch = Stitch(width_in, width) if width_in else None
        self.norm1 = nn.LayerNorm(width, eps=params["eps"])
        self.attn = Attention(width, params["heads"], bias=params["qkv_bias"])
        self.norm2 = nn.LayerNorm(width, eps=params["eps"])
        if params["experts"]:
            self.moe = Mixture(width, hidden, params["experts"], params["top_k"])
        else:
            self.mlp = Mlp(width, hidden)
        self.drop_path = DropPath(drop)
        self.post_stitch = Stitch(width, width_out) if width_out else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width, or the stitch's width) to tokens."""
        x = self.pre_stitch(x) if self.pre_stitch else x
        x = x + self.drop_path(self.attn(self.norm1(x)))
        inner = self.moe if hasattr(self, "moe") else self.mlp
        x = x + self.drop_path(inner(self.norm2(x)))
        return self.post_stitch(x) if self.post_stitch else x


# ------------------------------------------------------------------ experts


class Experts(nn.Module):
    """One linear layer for each expert: weight (E, out, in), bias (E, out)."""

    def __init__(self, experts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs * outputs)
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(experts, outputs))

    def each(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Output (n_e, out) of each expert for its rows (n_e, in)."""
        layers = zip(parts, self.weight.unbind(), self.bias.unbind(), strict=True)
        return [F.linear(part, weight, bias) for part, weight, bias in layers]


class Mixture(nn.Module):
    """Tokens (..., width) to tokens of the same shape.

    Raises:
        ParamsError: more experts are chosen than there are.
    """

    def __init__(self, width: int, hidden: int, experts: int, top_k: int) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ParamsError(f"top_k is {top_k}; expected 1 to {experts}, the number of experts")
        self.top_k = top_k
        self.gate = nn.Linear(width, experts)
        self.htoh4, self.h4toh = Experts(experts, width, hidden), Experts(experts, hidden, width)

    def route(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Shares (n, k), which sum to 1, and numbers (n, k) of each token's experts."""
        scores, chosen = self.gate(tokens).topk(self.top_k, dim=-1)
        return scores.softmax(-1), chosen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mixtures."""
        tokens = x.reshape(-1, x.shape[-1])
        shares, chosen = self.route(tokens)
        order = chosen.flatten().argsort(stable=True)  # by expert, then by token
        rows, counts = (order // self.top_k, chosen.flatten().bincount(minlength=self.gate.out_features))
        parts = tokens[rows].split(counts.tolist())
        outputs = torch.cat(self.h4toh.each([F.gelu(part) for part in self.htoh4.each(parts)]))
        weighted = outputs * shares.flatten()[order, None]
        return torch.zeros_like(tokens).index_add(0, rows, weighted).view_as(x)
