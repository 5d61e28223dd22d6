"""A cross-encoder: query and document as one text, through layers of attention; the first place says how well they fit.

    x = [CLS] q [SEP] d,   s(q, d) = w . h_CLS + b

Each piece of the document that the query has, too, is marked, by how rare it is: from a few hundred queries no model
learns alone what an equal word is. With `pretrained` the layers, places and vectors are those of all-MiniLM-L6-v2
(`width` 384, up to 6 `layers`), fine-tuned; without, they are learned from nothing on projected vectors of its pieces.

Source: Nogueira and Cho, "Passage Re-ranking with BERT", 2019, arXiv:1901.04085 (the form); Boualili et al.,
"MarkedBERT", SIGIR 2020 (marks of exact matches, there as tokens). Differs: trained by pairs (`pairwise_hinge`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences
from shiftbench.systems.neural_ranking_robustness.models import _interactions

TASK = "ranking"
RARE = 10.0  # idf is divided by it, so that marks begin as large as vectors
needs = _interactions.needs


class Options(_interactions.Options):
    length: _interactions.Length = 32
    query_length: _interactions.QueryLength = 10
    layers: int = Field(2, ge=1, description="layers of attention")
    width: int = Field(32, ge=1, description="numbers of a place, a multiple of `heads`")
    heads: int = Field(4, ge=1, description="heads of a layer")
    pretrained: bool = Field(False, description="start from all-MiniLM-L6-v2; needs `width` 384 and 12 `heads`")


class CrossEncoder(_interactions.Net):
    """The model; the vectors of pieces are no part of its state."""

    def __init__(self, pieces: _interactions.Pieces, params: Mapping[str, Any]) -> None:
        super().__init__(pieces)
        width = params["width"]
        longest = params["query_length"] + params["length"] + 2
        self.project = nn.Linear(_interactions.SIZE, width, bias=False)
        self.places = nn.Embedding(longest, width)
        self.segments = nn.Embedding(2, width)
        self.mark = nn.Parameter(torch.randn(width) / width**0.5)
        self.norm = nn.LayerNorm(width, eps=_sentences.EPSILON)
        layer = nn.TransformerEncoderLayer(
            width, params["heads"], 4 * width, 0.0, "gelu", _sentences.EPSILON, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, params["layers"], enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)
        self.ends = [pieces.vocabulary[name] for name in ("[CLS]", "[SEP]")]

    def forward(self, query: torch.Tensor, idf: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Scores (m,); see `_interactions.Net`."""
        first, last = self.ends
        prefix = torch.tensor([first, *query.tolist(), last])
        ids = torch.cat([prefix.expand(len(documents), -1), documents], dim=1)
        matches = (documents[:, :, None] == query) & (documents[:, :, None] != _interactions.PAD)
        marks = F.pad((matches * idf / RARE).amax(dim=2), (len(prefix), 0))
        segment = torch.arange(ids.shape[1]) >= len(prefix)
        x = self.project(self.table[ids]) + self.places.weight[: ids.shape[1]]
        x = x + self.segments(segment.long()) + marks[..., None] * self.mark
        hidden = self.layers(self.norm(x), src_key_padding_mask=ids == _interactions.PAD)
        scores: torch.Tensor = self.head(hidden[:, 0]).squeeze(1)
        return scores


def build_ranker(inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> CrossEncoder:
    """The untrained model.

    Raises:
        ParamsError: heads that do not divide the width, or a pretrained model of another size.
    """
    if params["width"] % params["heads"] or params["layers"] < 1:
        raise ParamsError(
            f"cross_encoder: width {params['width']}, heads {params['heads']}, layers {params['layers']}; expected a "
            "multiple of the heads, and 1 layer or more"
        )
    model = CrossEncoder(_interactions.Pieces(inputs, params), params)
    if params["pretrained"]:
        _adopt(model, inputs, params)
    return model


def _adopt(model: CrossEncoder, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> None:
    """Copy the layers of all-MiniLM-L6-v2 into a model, and its vectors at their own length."""
    expected = (_interactions.SIZE, _sentences.HEADS)
    if (params["width"], params["heads"]) != expected or params["layers"] > _sentences.LAYERS:
        raise ParamsError(
            f"cross_encoder: pretrained is of width {expected[0]} with {expected[1]} heads and {_sentences.LAYERS} "
            "layers at most"
        )
    state = nets.read_state(inputs[refs.sources(_sentences.SOURCE)].parent / "model.safetensors")
    tensors = {
        f"layers.layers.{number}.{name}": tensor
        for number in range(params["layers"])
        for name, tensor in _layer(state, number)
    }
    tensors["places.weight"] = state["embeddings.position_embeddings.weight"][: len(model.places.weight)]
    tensors["segments.weight"] = state["embeddings.token_type_embeddings.weight"]
    tensors["project.weight"] = torch.eye(_interactions.SIZE)
    tensors |= {f"norm.{part}": state[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")}
    model.load_state_dict(model.state_dict() | tensors)
    model.table = state["embeddings.word_embeddings.weight"]


def _layer(state: nets.State, number: int) -> list[tuple[str, torch.Tensor]]:
    """The tensors of one of its layers under the names of torch's."""
    stem = f"encoder.layer.{number}"
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    tensors = []
    for part in ("weight", "bias"):
        tensors += [(f"{name}.{part}", state[f"{stem}.{source}.{part}"]) for name, source in names.items()]
        projections = [state[f"{stem}.attention.self.{one}.{part}"] for one in ("query", "key", "value")]
        tensors.append((f"self_attn.in_proj_{part}", torch.cat(projections)))
    return tensors


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another model.
    """
    return _interactions.loaded(build_ranker(inputs, params), weights, inputs, params)
