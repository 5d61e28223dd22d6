"""A cross-encoder: query and document as one text, through layers of attention; the first place says how well they fit.

    x = [CLS] q [SEP] d,   s(q, d) = w . h_CLS + b

Each piece of the document that the query has, too, is marked, by how rare it is: from a few hundred queries no net
learns alone what an equal word is. With `pretrained` the layers, places and vectors are those of all-MiniLM-L6-v2
(`width` 384, up to 6 `layers`), fine-tuned; without, they are learnt from nothing on projected vectors of its pieces.

Source: Nogueira and Cho, "Passage Re-ranking with BERT", 2019, arXiv:1901.04085 (the form); Boualili et al.,
"MarkedBERT", SIGIR 2020 (marks of exact matches, there as tokens). Differs: trained by pairs (`pairwise_hinge`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences
from shiftbench.systems.neural_ranking_robustness.models import _interactions

TASK = "ranking"
PARAMS: dict[str, object] = {
    **_interactions.PARAMS,
    "length": 32,
    "query_length": 10,
    "layers": 2,
    "width": 32,
    "heads": 4,
    "pretrained": False,
}
RARE = 10.0  # idf is divided by it, so that marks begin as large as vectors
needs = _interactions.needs


class CrossEncoder(_interactions.Net):
    """The net; the vectors of pieces are no part of its state."""

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
        """Return scores (m,); see `_interactions.Net`."""
        first, last = self.ends
        asked = torch.tensor([first, *query.tolist(), last])
        ids = torch.cat([asked.expand(len(documents), -1), documents], dim=1)
        same = (documents[:, :, None] == query) & (documents[:, :, None] != _interactions.PAD)
        marks = F.pad((same * idf / RARE).amax(dim=2), (len(asked), 0))
        segment = torch.arange(ids.shape[1]) >= len(asked)
        x = self.project(self.table[ids]) + self.places.weight[: ids.shape[1]]
        x = x + self.segments(segment.long()) + marks[..., None] * self.mark
        hidden = self.layers(self.norm(x), src_key_padding_mask=ids == _interactions.PAD)
        scores: torch.Tensor = self.head(hidden[:, 0]).squeeze(1)
        return scores


def build_ranker(inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> CrossEncoder:
    """Return the untrained net.

    Raises:
        ParamsError: heads that do not divide the width, or a pretrained net of another size.
    """
    if params["width"] % params["heads"] or params["layers"] < 1:
        raise ParamsError(
            f"cross_encoder: width {params['width']}, heads {params['heads']}, layers {params['layers']}; expected a "
            "multiple of the heads, and 1 layer or more"
        )
    net = CrossEncoder(_interactions.Pieces(inputs, params), params)
    if params["pretrained"]:
        _adopt(net, inputs, params)
    return net


def _adopt(net: CrossEncoder, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> None:
    """Give a net the layers of all-MiniLM-L6-v2, and its vectors at their own length."""
    wanted = (_interactions.SIZE, _sentences.HEADS)
    if (params["width"], params["heads"]) != wanted or params["layers"] > _sentences.LAYERS:
        raise ParamsError(
            f"cross_encoder: pretrained is of width {wanted[0]} with {wanted[1]} heads and {_sentences.LAYERS} layers "
            "at most"
        )
    state = nets.read_state(inputs[refs.sources(_sentences.SOURCE)].parent / "model.safetensors")
    own = {f"layers.layers.{at}.{name}": tensor for at in range(params["layers"]) for name, tensor in _layer(state, at)}
    own["places.weight"] = state["embeddings.position_embeddings.weight"][: len(net.places.weight)]
    own["segments.weight"] = state["embeddings.token_type_embeddings.weight"]
    own["project.weight"] = torch.eye(_interactions.SIZE)
    own |= {f"norm.{part}": state[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")}
    net.load_state_dict(net.state_dict() | own)
    net.table = state["embeddings.word_embeddings.weight"]


def _layer(state: nets.State, at: int) -> list[tuple[str, torch.Tensor]]:
    """Return the tensors of one of its layers under the names of torch's."""
    stem = f"encoder.layer.{at}"
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    found = []
    for part in ("weight", "bias"):
        found += [(f"{ours}.{part}", state[f"{stem}.{theirs}.{part}"]) for ours, theirs in names.items()]
        three = [state[f"{stem}.attention.self.{one}.{part}"] for one in ("query", "key", "value")]
        found.append((f"self_attn.in_proj_{part}", torch.cat(three)))
    return found


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """Return the predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another net.
    """
    return _interactions.loaded(build_ranker(inputs, params), weights, inputs, params)
