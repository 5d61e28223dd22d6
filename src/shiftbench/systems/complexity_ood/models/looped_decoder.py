"""A decoder of one block that is applied as many times as the question has steps: depth that adapts.

The words of a question that are in `counted` say how often, at least once; with `loops` above 0 it is that often
whatever the question is. What enters each loop is the last one's output and the embedded tokens once more. The rest is
`models/decoder.py`. The method `loops` asks trained weights at another depth.

Source: Dehghani et al. 2019, "Universal Transformers", arXiv:1807.03819 (weights tied over depth); Fan et al. 2024,
"Looped Transformers for Length Generalization", arXiv:2409.15647, section 4 (as many loops as steps, known at test
time; the input enters each loop). Differs: learned positions and one length, there none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import decoder

TASK = "free_text"
prepare_batch, of_one_length = decoder.prepare_batch, decoder.of_one_length
encoded, decoded = decoder.encoded, decoder.decoded
size, end, closing = decoder.size, decoder.end, decoder.closing


class Options(decoder.Options):
    depth: int = Field(1, ge=1, description="blocks, which each loop runs")
    counted: list[str] = Field([], description="words of the vocabulary; a loop for each of them in the question")
    loops: int = Field(0, ge=0, description="number of loops, whatever the question is; 0: as many as counted words")


class LoopedCache(NamedTuple):
    """State of generation: keys and values of each loop, and the number of loops of each sequence, int64 (n,)."""

    loops: decoder.Cache
    depths: torch.Tensor


class LoopedDecoder(decoder.Decoder):
    """A decoder whose blocks are run as often as `depths` of the tokens says.

    Attributes:
        loops: how often, whatever the question is; 0: as often as it has counted words.
    """

    counted: torch.Tensor

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        words = list(params["vocabulary"])
        counted = torch.zeros(decoder.size(params), dtype=torch.bool)
        counted[[words.index(word) for word in params["counted"]]] = True
        self.register_buffer("counted", counted, persistent=False)
        self.loops = int(params["loops"])

    def depths(self, tokens: torch.Tensor) -> torch.Tensor:
        """Number of loops of each of the sequences (n, t), int64 (n,)."""
        if self.loops:
            return torch.full_like(tokens[:, 0], self.loops)
        counts: torch.Tensor = self.counted[tokens].sum(1).clamp(min=1)
        return counts

    def run(self, tokens: torch.Tensor, past: Any) -> tuple[torch.Tensor, Any]:
        """The tokens (n, t, width) after each sequence's own number of loops, and what is kept.

        Raises:
            ModelError: the sequence is longer than the positions that the network has.
        """
        depths = self.depths(tokens) if past is None else past.depths
        start = past.loops[0][0].shape[2] if past is not None else 0
        stop = start + tokens.shape[1]
        if stop > len(self.positions):
            raise ModelError(f"a sequence of {stop} tokens; the decoder has {len(self.positions)} positions (`length`)")
        inputs = self.embed(tokens) + self.positions[start:stop]
        x, outputs, caches = torch.zeros_like(inputs), torch.zeros_like(inputs), decoder.Cache()
        for loop in range(int(depths.max())):
            x = x + inputs
            for at, block in enumerate(self.blocks):
                own = past.loops[loop * len(self.blocks) + at] if past is not None else None
                x, cache = block(x, own)
                caches.append(cache)
            outputs = torch.where((depths == loop + 1)[:, None, None], x, outputs)
        return outputs, LoopedCache(caches, depths)


class LoopedPredictor:
    """Answers with a network's own number of loops, or with a number that is given (`at_depth`)."""

    def __init__(self, predict: nets.Predictor, network: LoopedDecoder, loops: int) -> None:
        self._predict, self._network, self._loops = predict, network, loops

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Completions and statistics."""
        self._network.loops = self._loops
        return self._predict(samples)

    def at_depth(self, loops: int) -> LoopedPredictor:
        """A predictor with that many loops."""
        return LoopedPredictor(self._predict, self._network, loops)


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator.

    Raises:
        ParamsError: a counted word is not in the vocabulary.
    """
    unknown = [word for word in params["counted"] if word not in params["vocabulary"]]
    if unknown:
        raise ParamsError(f"looped_decoder: counted names {unknown[0]!r}, which is not in vocabulary")
    return LoopedDecoder(params)


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> LoopedPredictor:
    """The predictor, which returns `completions` and `statistics` as the decoder does."""
    assert isinstance(network, LoopedDecoder)  # noqa: S101 - `build` made it; tells mypy
    predict = decoder.predictor(network, model, params, device, precision)
    return LoopedPredictor(predict, network, network.loops)
