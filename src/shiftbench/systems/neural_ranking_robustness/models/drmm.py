"""DRMM: how many pieces of a document lie how near to each of the query's, weighed by how rare that piece is.

    s(q, d) = sum_i g_i z_i,   z_i = MLP(ln(1 + histogram_i)),   g = softmax(w idf)

histogram_i counts the cosines of piece i with the document's, in 29 equal bins from -1 to 1 and one for the same piece.
Source: Guo et al., "A Deep Relevance Matching Model for Ad-hoc Retrieval", CIKM 2016 (LCH, idf gate; layers 30-5-1 with
tanh). Differs: pieces and vectors of MiniLM (`_interactions`) instead of words and word2vec.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.systems.neural_ranking_robustness.models import _interactions

TASK = "ranking"
BINS, HIDDEN = 30, 5
Options = _interactions.Options
needs = _interactions.needs


class Drmm(_interactions.Net):
    """The model; its state is the layers and the gate."""

    def __init__(self, pieces: _interactions.Pieces) -> None:
        super().__init__(pieces)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(BINS, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1), torch.nn.Tanh()
        )
        self.gate = torch.nn.Parameter(torch.ones(()))

    def forward(self, query: torch.Tensor, idf: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Scores (m,); see `_interactions.Net`."""
        matches = self.layers(histograms(self.table, query, documents).log1p()).squeeze(2)
        scores: torch.Tensor = (torch.softmax(self.gate * idf, 0) * matches).sum(1)
        return scores


def histograms(table: torch.Tensor, query: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
    """Number of pieces of each document in each bin of cosines with each of the query's.

    Args:
        table: vectors of length 1, (pieces, n).
        query: (q,) int64.
        documents: (m, length) int64, padded with 0, which does not count.

    Returns:
        float32 (m, q, 30); the last bin is the piece itself.
    """
    cosines = torch.einsum("qd,mld->mql", table[query], table[documents])
    bins = ((cosines + 1) / 2 * (BINS - 1)).long().clamp(0, BINS - 2)
    bins = torch.where(documents[:, None] == query[:, None], BINS - 1, bins)
    counts = (documents != _interactions.PAD)[:, None].expand_as(bins).float()
    return torch.zeros(*bins.shape[:2], BINS).scatter_add_(2, bins, counts)


def build_ranker(inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> Drmm:
    """The untrained model."""
    return Drmm(_interactions.Pieces(inputs, params))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another model.
    """
    return _interactions.loaded(build_ranker(inputs, params), weights, inputs, params)
