"""A decoder like Llama: RMS norms, rotary positions, grouped queries, gated MLPs, embedding and output one matrix.

    models:
      llama_1b: {path: data/own/llama3/tokenizer.json}

Source: Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv:2302.13971, section 2.2;
grouped queries are Ainslie et al., EMNLP 2023; sizes, order of the joined query, key and value, and initial values are
those of ROOT's example script (huawei-noah/noah-research, ROOT/examples/example_train.py, `SampleModel`): 16 blocks,
width 2048, MLP 8192, 32 heads of 64 over 8 key-value heads, theta 500,000, 128,256 tokens. The tokenizer
is Llama 3's there, whose texts begin with the token 128,000.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _optional

TASK = "language_modelling"
BYTES = 256


class Options(declare.Options):
    path: str = Field("", description="tokenizer.json of the tokenizers library; empty: tokens are bytes")
    vocabulary: int = Field(128256, ge=1, description="number of tokens; of bytes it is 257")
    begin: int = Field(128000, ge=0, description="token that each text begins with; of bytes it is 256")
    width: int = Field(2048, ge=1, description="numbers of a token vector")
    depth: int = Field(16, ge=1, description="number of blocks")
    mlp: int = Field(8192, ge=1, description="width of an MLP's hidden layer")
    heads: int = Field(32, ge=1, description="query heads of a block")
    groups: int = Field(8, ge=1, description="key and value heads of a block")
    theta: float = Field(500000.0, gt=0, description="base of the rotary positions' frequencies")
    length: int = Field(2048, ge=1, description="tokens of an evaluated text that are read")


class Norm(nn.Module):
    """x / rms(x), scaled per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., width) to the same shape."""
        scaled: torch.Tensor = self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5))
        return scaled


class Attention(nn.Module):
    """Causal self-attention with rotary positions; several query heads share a key and a value."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.groups, self.each, self.size = groups, heads // groups, width // heads
        self.qkv = nn.Linear(width, (heads + 2 * groups) * self.size, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width) to the same shape."""
        n, length, width = x.shape
        joined = self.qkv(x).view(n, length, self.groups, self.each + 2, self.size)
        query, key, value = joined.split([self.each, 1, 1], dim=3)
        query = rotated(query.reshape(n, length, -1, self.size).transpose(1, 2), turns)
        key = rotated(key.squeeze(3).transpose(1, 2), turns).repeat_interleave(self.each, 1)
        value = value.squeeze(3).transpose(1, 2).repeat_interleave(self.each, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        output: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return output


class Block(nn.Module):
    """Attention and a gated MLP, both behind a norm and residual."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        width, wide = params["width"], params["mlp"]
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.attention = Attention(width, params["heads"], params["groups"])
        self.gate, self.up = (nn.Linear(width, wide, bias=False) for _ in range(2))
        self.down = nn.Linear(wide, width, bias=False)

    def forward(self, x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        """Map tokens (n, t, width) to the same shape."""
        x = x + self.attention(self.norm1(x), turns)
        normalised = self.norm2(x)
        output: torch.Tensor = x + self.down(F.silu(self.gate(normalised)) * self.up(normalised))
        return output


class Llama(nn.Module):
    """Tokens int64 (n, t) to logits (n, t, vocabulary) of the token that follows each."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.embed = nn.Embedding(size(params), params["width"])
        self.blocks = nn.ModuleList(Block(params) for _ in range(params["depth"]))
        self.norm = Norm(params["width"])
        self.theta, self.head_size = params["theta"], params["width"] // params["heads"]
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits."""
        x = self.embed(tokens)
        turns = angles(self.theta, self.head_size, tokens.shape[1]).to(x.device)
        for block in self.blocks:
            x = block(x, turns)
        return F.linear(self.norm(x), self.embed.weight)

    def losses(self, tokens: torch.Tensor) -> torch.Tensor:
        """-log probability of each token but the first, (n, t - 1) in nats."""
        logits = self(tokens[:, :-1]).float()
        token_losses: torch.Tensor = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        return token_losses.view(len(tokens), -1)


def angles(theta: float, size: int, length: int) -> torch.Tensor:
    """The complex turn of each pair of channels at each place, (length, size / 2)."""
    rates = theta ** (-torch.arange(0, size, 2).float() / size)
    turn = torch.outer(torch.arange(length).float(), rates)
    return torch.polar(torch.ones_like(turn), turn)


def rotated(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn neighbouring channels of (n, heads, t, size) by the turns of their places."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)


# ------------------------------------------------------------------ tokens


def size(params: Mapping[str, Any]) -> int:
    """Number of tokens of the vocabulary."""
    return int(params["vocabulary"]) if params["path"] else BYTES + 1


def encoded(text: str, params: Mapping[str, Any]) -> list[int]:
    """The tokens of a text, after the one that begins it."""
    if not params["path"]:
        return [BYTES, *text.encode()]
    tokenizer = _tokenizer(str(params["path"]))
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return [int(params["begin"]), *ids]


@functools.cache
def _tokenizer(path: str) -> Any:
    if not Path(path).is_file():
        raise ModelError(f"the tokenizer {path} does not exist; give Llama 3's tokenizer.json")
    return _optional.package("tokenizers", "llm").Tokenizer.from_file(path)


# ------------------------------------------------------------------ the model


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return Llama(params)


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """Predictor of `nll` and `tokens` of each text, one after the other."""
    torch_device = nets.pick_device(device)
    language_model: Any = nets.place(network, torch_device).eval()
    kind = nets.PRECISIONS[precision]

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        token_losses = []
        for sample in samples:
            tokens = encoded(sample.fields["text"], params)[: params["length"] + 1]
            with torch.inference_mode(), torch.autocast(torch_device.type, kind, enabled=precision != "float32"):
                token_losses.append(
                    language_model.losses(torch.tensor([tokens], device=torch_device))[0].double().cpu()
                )
        return {
            "nll": np.array([float(losses.mean()) for losses in token_losses]),
            "tokens": np.array([len(losses) for losses in token_losses], np.int64),
        }

    return predict
