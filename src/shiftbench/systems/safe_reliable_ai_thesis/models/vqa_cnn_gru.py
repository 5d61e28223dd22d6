"""A small answerer of questions: a convolutional grid, a GRU over words, and the grid modulated by the question.

Three strided 3x3 convolutions make a grid of 8 x 8 places, to each of which its own place is added. The last state of
a GRU (64) over the question's words scales and shifts the grid's channels, twice, each time before a rectified 1x1
layer; the largest and the mean over places are the features, a linear layer the answer. With `join: concatenated` the
grid and the GRU's state are laid side by side before a head of two layers, as the specification has it.

Source: Perez et al. 2018, "FiLM: visual reasoning with a general conditioning layer", arXiv:1709.07871, at small size;
concatenated: Antol et al. 2015, "VQA: visual question answering", arXiv:1505.00468. Words of no training question are
one and the same; a sample without a `text` is asked nothing.

The model's input has two fields: `image`, and `words`, their numbers (0: none, 1: unknown).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images
from shiftbench.systems.safe_reliable_ai_thesis.datasets import _questions

TASK = "visual_question"
JOINS = ("modulated", "concatenated")
WORDS = {word: number for number, word in enumerate(_questions.vocabulary(), start=2)}
LONGEST = 14
"""Words of a question that are read."""


class Options(declare.Options):
    size: fields.Size = 32
    width: int = Field(16, ge=1, description="channels of the first convolution")
    words: int = Field(64, ge=1, description="numbers of a word vector")
    hidden: int = Field(64, ge=1, description="numbers of the GRU's state")
    join: Literal["modulated", "concatenated"] = Field(
        "modulated", description="the question modulates the grid, or is put next to it"
    )


class Answerer(nn.Module):
    """`image` (n, 3, size, size) in 0..255 and `words` (n, 14) to features (n, d) and logits."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        width, words, hidden = params["width"], params["words"], params["hidden"]
        if params["join"] not in JOINS:
            raise ParamsError(f"vqa_cnn_gru: join is {params['join']!r} ({suggest(params['join'], JOINS)})")
        self.modulated = params["join"] == "modulated"
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.picture = nn.Sequential(*layers)
        self.embedding = nn.Embedding(len(WORDS) + 2, words // 2, padding_idx=0)
        self.question = nn.GRU(words // 2, words, batch_first=True)
        if self.modulated:
            self.inner = nn.Conv2d(4 * width + 2, hidden, 1)
            self.outer = nn.Conv2d(hidden + 2, hidden, 1)
            self.scales = nn.Linear(words, 4 * hidden)
        else:
            self.both = nn.Linear(4 * width * (params["size"] // 4) ** 2 + words, 2 * hidden)
        self.head = nn.Linear(2 * hidden, classes)

    def features(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The features (n, d)."""
        grid = self.picture(x["image"].float() / 127.5 - 1.0)
        question = self._question_states(x["words"].long())
        if self.modulated:
            return self._modulated(grid, self.scales(question)[:, :, None, None])
        return F.relu(self.both(torch.cat([grid.flatten(1), question], 1)))

    def _modulated(self, grid: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """The largest and the mean answer of the places, under scales and shifts (n, 4 hidden, 1, 1)."""
        first_scale, first_shift, second_scale, second_shift = modulation.chunk(4, dim=1)
        n, _, height, width = grid.shape
        axes = (torch.linspace(-1, 1, size, device=grid.device) for size in (height, width))
        coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(n, 2, height, width)
        maps = F.relu(self.inner(torch.cat([grid, coordinates], 1)) * (1 + first_scale) + first_shift)
        maps = F.relu(self.outer(torch.cat([maps, coordinates], 1)) * (1 + second_scale) + second_shift)
        return torch.cat([maps.amax(dim=(2, 3)), maps.mean(dim=(2, 3))], 1)

    def _question_states(self, words: torch.Tensor) -> torch.Tensor:
        """The GRU's state after the last word of each question, (n, words)."""
        states, _ = self.question(self.embedding(words))
        last = ((words > 0).sum(1) - 1).clamp(min=0)
        last_states: torch.Tensor = states[torch.arange(len(words), device=words.device), last]
        return last_states

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return Answerer(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Array (n,) of `image` uint8 (3, size, size) and `words` uint8 (14,)."""
    size = params["size"]
    fields = [("image", np.uint8, (3, size, size)), ("words", np.uint8, (LONGEST,))]
    batch = np.zeros(len(samples), np.dtype(fields))
    batch["image"] = _images.colour_batch(samples, lambda image: _images.resize(image, size, size))
    for row, sample in enumerate(samples):
        numbers = numbered(sample.fields.get("text", ""))[:LONGEST]
        batch["words"][row, : len(numbers)] = numbers
    return batch


def numbered(text: str) -> list[int]:
    """The numbers of a question's words; 1 for those that training cannot have.

    Example:
        >>> numbered("is there a zebra")[-1]
        1
    """
    return [WORDS.get(word, 1) for word in text.lower().split()]
