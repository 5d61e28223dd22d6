"""Sentences as vectors: all-MiniLM-L6-v2, from its tensors alone (no transformers, no tokenizers).

Source: Reimers and Gurevych 2019, "Sentence-BERT"; the tensors of `sources/all_minilm_l6_v2.yaml`. BERT's encoder
(post-norm, exact GELU), mean over the tokens, length 1. Equal to transformers' `BertModel` to 1e-6 (measured).
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from shiftbench.evaluation import nets
from shiftbench.plugins.models import _word_pieces

SOURCE = "all_minilm_l6_v2"
SIZE = 384
HEADS = 12
LAYERS = 6
LENGTH = 256  # tokens; as the model's own configuration
EPSILON = 1e-12


def embed(texts: Sequence[str], folder: Path) -> torch.Tensor:
    """One vector of length 1 per text, float32 (n, 384).

    Args:
        texts: in English; each is embedded by itself, so that a vector depends on its text alone.
        folder: of the original.
    """
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    state = nets.read_state(folder / "model.safetensors")
    with torch.no_grad():
        rows = [encode(_word_pieces.tokens(text, vocabulary, LENGTH), state) for text in texts]
        return F.normalize(torch.stack(rows), dim=1)


def encode(ids: list[int] | list[list[int]], state: nets.State) -> torch.Tensor:
    """The mean over the tokens of the last layer, float32 (384,); `ids` of [CLS] to [SEP].

    Of several texts with as many tokens each, at once: (n, 384). Last digits may differ from those of one alone.
    """
    x = state["embeddings.word_embeddings.weight"][torch.tensor(ids)]
    x = x + state["embeddings.position_embeddings.weight"][: x.shape[-2]]
    x = x + state["embeddings.token_type_embeddings.weight"][0]
    x = _norm(x, state, "embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        mixed = _linear(_attention(x, state, layer), state, f"{layer}.attention.output.dense")
        x = _norm(x + mixed, state, f"{layer}.attention.output.LayerNorm")
        inner = F.gelu(_linear(x, state, f"{layer}.intermediate.dense"))
        x = _norm(x + _linear(inner, state, f"{layer}.output.dense"), state, f"{layer}.output.LayerNorm")
    return x.mean(-2)


def _attention(x: torch.Tensor, state: nets.State, layer: str) -> torch.Tensor:
    query, key, value = (
        _linear(x, state, f"{layer}.attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(-3, -2)
        for part in ("query", "key", "value")
    )
    return F.scaled_dot_product_attention(query, key, value).transpose(-3, -2).flatten(-2)


def _linear(x: torch.Tensor, state: nets.State, name: str) -> torch.Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _norm(x: torch.Tensor, state: nets.State, name: str) -> torch.Tensor:
    return F.layer_norm(x, (SIZE,), state[f"{name}.weight"], state[f"{name}.bias"], EPSILON)
