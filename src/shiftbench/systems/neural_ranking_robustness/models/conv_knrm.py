"""Conv-KNRM: soft matches of n-grams of query and document, counted by kernels.

    K_k(i) = sum_j exp(-(M_ij - mu_k)^2 / 2 sigma_k^2),   phi_k = sum_i ln K_k(i),   s = w . phi + b

M holds the cosines of the query's h-grams with the document's g-grams, h and g in {1, 2, 3}: nine matrices, eleven
kernels each (mu from -0.9 to 0.9 in steps of 0.2 with sigma 0.1, and 1.0 with sigma 0.001). n-grams are convolutions
with ReLU. Source: Dai et al., "Convolutional Neural Networks for Soft-Matching N-Grams in Ad-hoc Search", WSDM 2018.
Differs: vectors of MiniLM's pieces that are not learned (`_interactions`), fewer filters, phi as a mean over the
query's n-grams / 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.systems.neural_ranking_robustness.models import _interactions

TASK = "ranking"
GRAMS = (1, 2, 3)
MEANS = (*(round(-0.9 + 0.2 * k, 1) for k in range(10)), 1.0)
WIDTHS = (*(0.1 for _ in range(10)), 0.001)
LEAST = 1e-10  # below the logarithm
needs = _interactions.needs


class Options(_interactions.Options):
    filters: int = Field(32, ge=1, description="filters of each convolution")


class ConvKnrm(_interactions.Net):
    """The model: a convolution per n, and a linear layer over 99 kernels."""

    def __init__(self, pieces: _interactions.Pieces, filters: int) -> None:
        super().__init__(pieces)
        self.convolutions = torch.nn.ModuleList(torch.nn.Conv1d(_interactions.SIZE, filters, gram) for gram in GRAMS)
        self.filters = filters
        self._known: torch.Tensor | None = None
        self.head = torch.nn.Linear(len(GRAMS) ** 2 * len(MEANS), 1)

    @property
    def each(self) -> list[torch.nn.Conv1d]:
        """The convolutions, for n = 1, 2, 3."""
        return [one for one in self.convolutions if isinstance(one, torch.nn.Conv1d)]

    def train(self, mode: bool = True) -> ConvKnrm:  # noqa: FBT001, FBT002 - as torch has it
        """Forget what the weights made of the vocabulary."""
        self._known = None
        return super().train(mode)

    def projected(self, ids: torch.Tensor) -> torch.Tensor:
        """The share of each piece in the n-grams that contain it, (*ids, 6 filters); each is multiplied once."""
        parts = [convolution.weight.permute(2, 0, 1).flatten(0, 1) for convolution in self.each]
        weight = torch.cat(parts)  # (6 filters, 384): for n = 1, 2, 3, the piece's place in the n-gram
        if self.training:
            pieces, inverse = torch.unique(ids, return_inverse=True)
            return (self.table[pieces] @ weight.T)[inverse]
        if self._known is None:
            self._known = self.table @ weight.T
        return self._known[ids]

    def grams(self, ids: torch.Tensor) -> torch.Tensor:
        """The n-grams that begin at each piece (m, length), length 1, (m, n, length, filters)."""
        parts = iter(self.projected(ids).split(self.filters, dim=-1))
        normalised = []
        for gram, convolution in zip(GRAMS, self.each, strict=True):
            assert convolution.bias is not None  # noqa: S101 - it was made with one; tells mypy
            total: torch.Tensor = convolution.bias.expand(*ids.shape, -1)
            for offset in range(gram):  # a text ends in zeros
                total = total + F.pad(next(parts), (0, 0, 0, offset))[:, offset:]
            normalised.append(F.normalize(torch.relu(total), dim=2, eps=1e-6))
        return torch.stack(normalised, dim=1)

    def forward(
        self,
        query: torch.Tensor,
        idf: torch.Tensor,  # noqa: ARG002 - as all nets
        documents: torch.Tensor,
    ) -> torch.Tensor:
        """Scores (m,); see `_interactions.Net`."""
        mask = (documents != _interactions.PAD).float()
        phi = kernels(self.grams(query[None])[0], self.grams(documents), mask)
        scores: torch.Tensor = self.head(phi.flatten(1)).squeeze(1)
        return scores


def kernels(query: torch.Tensor, documents: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over the query's n-grams of ln K_k / 100, (m, h, g, 11).

    Args:
        query: (h, q, filters), rows of length 1.
        documents: (m, g, length, filters), rows of length 1.
        mask: (m, length), 1 where the document has a piece.
    """
    cosines = torch.einsum("hqf,mglf->mhqgl", query, documents)
    counts = []
    for mean, width in zip(MEANS, WIDTHS, strict=True):  # at a time, one that the cache can hold
        similarity = torch.exp((cosines - mean).square() * (-0.5 / width**2))
        counts.append((similarity @ mask[:, None, None, :, None]).squeeze(4))
    return torch.stack(counts, dim=4).clamp(min=LEAST).log().mean(2) / 100


def build_ranker(inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> ConvKnrm:
    """The untrained model."""
    return ConvKnrm(_interactions.Pieces(inputs, params), params["filters"])


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another model.
    """
    return _interactions.loaded(build_ranker(inputs, params), weights, inputs, params)
