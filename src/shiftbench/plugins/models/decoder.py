"""A small causal transformer that answers prompts in words of a fixed vocabulary, sampled with cached keys and values.

Pre-norm blocks, trained positions, an output layer of its own. One token in addition to the vocabulary ends a response.
Random numbers of the sampling depend on `seed` and the prompt's key alone.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2), section 2.3. Differs: the
output layer is not tied to the embedding, and there is no dropout.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _decoding

TASK = "free_text"
BYTES = 256
Cache = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values (n, heads, t, size) of each block."""


class Options(declare.Options):
    vocabulary: list[str] = Field(
        [], description="words, which white space separates in texts; empty: the bytes of UTF-8"
    )
    closing: str = Field("", description="word of the vocabulary that closes the thinking; empty: none")
    width: int = Field(64, ge=1, description="features of a token")
    depth: int = Field(2, ge=1, description="blocks")
    heads: int = Field(4, ge=1, description="attention heads; their number divides `width`")
    length: int = Field(64, ge=1, description="tokens of prompt and response at most")
    samples: int = Field(1, ge=1, description="responses to each prompt")
    temperature: float = Field(1.0, ge=0, description="temperature of the sampling; 0: the most likely token")
    max_new_tokens: int = Field(32, ge=1, description="tokens of a response at most")
    seed: int = Field(0, ge=0, description="seed of the sampling, the same for the checkpoints of all trainers")


class Block(nn.Module):
    """Causal self-attention and an MLP, both behind a norm and residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self, x: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Map tokens (n, t, width), behind those of `past`, to the same shape; also return all keys and values."""
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        seen = None
        if past is not None and length > 1:
            seen = torch.ones(length, key.shape[2], dtype=torch.bool, device=x.device)
            seen = seen.tril(key.shape[2] - length)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=past is None)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.mlp(self.norm2(x)), (key, value)


class Decoder(nn.Module):
    """Tokens int64 (n, t) to logits (n, t, vocabulary) of the token that follows each; a policy (`_decoding`)."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        width, tokens = params["width"], size(params)
        self.embed = nn.Embedding(tokens, width)
        self.positions = nn.Parameter(0.02 * torch.randn(params["length"], width))
        self.blocks = nn.ModuleList(Block(width, params["heads"]) for _ in range(params["depth"]))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits of whole sequences."""
        logits: torch.Tensor = self.head(self.norm(self.run(tokens, None)[0]))
        return logits

    def run(self, tokens: torch.Tensor, past: Cache | None) -> tuple[torch.Tensor, Cache]:
        """The last block's tokens (n, t, width) and the cache, t tokens longer.

        Raises:
            ModelError: the sequence is longer than the positions that the network has.
        """
        start = past[0][0].shape[2] if past else 0
        stop = start + tokens.shape[1]
        if stop > len(self.positions):
            raise ModelError(
                f"a sequence of {stop} tokens; the decoder has {len(self.positions)} positions (its option `length`)"
            )
        x, cache = self.embed(tokens) + self.positions[start:stop], Cache()
        for block, own in zip(self.blocks, past or itertools.repeat(None), strict=False):
            x, kept = block(x, own)
            cache.append(kept)
        return x, cache

    def begin(self, prompts: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        """The logits (n, vocabulary) of the first token behind prompts (n, p), and the cache."""
        x, cache = self.run(prompts, None)
        return self.head(self.norm(x[:, -1])), cache

    def follow(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """The logits of the token behind tokens (n,), and the cache, one longer."""
        x, longer = self.run(tokens[:, None], cache)
        return self.head(self.norm(x[:, -1])), longer

    def response_logits(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """The logits of each token of the responses (n, t), (n, t, vocabulary)."""
        x, _ = self.run(torch.cat([prompts, responses[:, :-1]], 1), None)
        logits: torch.Tensor = self.head(self.norm(x[:, prompts.shape[1] - 1 :]))
        return logits


# ------------------------------------------------------------------ tokens


def size(params: Mapping[str, Any]) -> int:
    """Number of tokens, including the end token."""
    return end(params) + 1


def end(params: Mapping[str, Any]) -> int:
    """The token that ends a response."""
    return len(params["vocabulary"]) or BYTES


def closing(params: Mapping[str, Any]) -> int | None:
    """The token that closes the thinking; None: there is none."""
    return params["vocabulary"].index(params["closing"]) if params["closing"] else None


def encoded(text: str, params: Mapping[str, Any]) -> list[int]:
    """The tokens of a text.

    Raises:
        DataError: a word that is not in the vocabulary.
    """
    if not params["vocabulary"]:
        return list(text.encode())
    known = _places(tuple(params["vocabulary"]))
    unknown = next((word for word in text.split() if word not in known), None)
    if unknown is not None:
        raise DataError(f"the decoder's vocabulary has no {unknown!r}, which is in {text[:60]!r}")
    return [known[word] for word in text.split()]


@functools.cache
def _places(vocabulary: tuple[str, ...]) -> dict[str, int]:
    return {word: at for at, word in enumerate(vocabulary)}


def decoded(ids: Sequence[int], params: Mapping[str, Any]) -> str:
    """The text of tokens, none of which is the end."""
    if not params["vocabulary"]:
        return bytes(ids).decode(errors="replace")
    return " ".join(params["vocabulary"][one] for one in ids)


# ------------------------------------------------------------------ the model


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return Decoder(params)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The prompts' tokens, int64 (n, p)."""
    prompts = [encoded(sample.fields["text"], params) for sample in samples]
    for sample, tokens in zip(samples, prompts, strict=True):
        if len(tokens) != len(prompts[0]):
            raise ModelError(
                f"{sample.key} has {len(tokens)} tokens, {samples[0].key} {len(prompts[0])}; prompts of one batch have "
                "as many"
            )
    return np.array(prompts, np.int64)


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """Predictor of `completions` and `statistics`, `samples` for each prompt; computes in float32."""
    place = nets.pick_device(device)
    placed: Any = network.to(place).eval()

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        outputs = {name: np.empty(len(samples), object) for name in ("completions", "statistics")}
        for places in of_one_length(samples, params):
            some = [samples[at] for at in places]
            texts, statistics = _answers(placed, model, some, params, place)
            for row, at in enumerate(places):
                own = slice(row * params["samples"], (row + 1) * params["samples"])
                outputs["completions"][at] = tuple(texts[own])
                outputs["statistics"][at] = tuple(statistics[own])
        return outputs

    return predict


def of_one_length(samples: Sequence[Sample], params: Mapping[str, Any]) -> list[list[int]]:
    """The places of samples whose prompts have as many tokens, list by list, short ones first."""
    lengths = [len(encoded(sample.fields["text"], params)) for sample in samples]
    return [[at for at, one in enumerate(lengths) if one == length] for length in sorted(set(lengths))]


def _answers(
    network: Any, model: ModuleType, samples: Sequence[Sample], params: Mapping[str, Any], device: torch.device
) -> tuple[list[str], list[Any]]:
    count, most = params["samples"], params["max_new_tokens"]
    streams = [
        RandomStream(params["seed"], "decoder", f"{number}", sample.key)
        for sample in samples
        for number in range(count)
    ]
    prompts = torch.from_numpy(model.prepare_batch(samples, params)).repeat_interleave(count, 0)
    drawn = torch.from_numpy(_decoding.uniforms(streams, most)).to(device)
    responses = _decoding.sample(network, prompts.to(device), drawn, model.end(params), params["temperature"])
    return _decoding.completions_of(responses, model, params, most)
