"""Models of images and texts: a head on raw features or on their directions, made of class names; helper.

A dual encoder's file has, in addition to the contract of models/, `texts(network, prompts, params, inputs) -> (n, d)`.
Its network has `image(x)` (raw features v), `scale` (the factor of cosines) and this head. Trainers need no more.

Source: Radford et al., ICML 2021 (CLIP), section 3.1: prompts, directions, and a factor of the cosines.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.evaluation import nets


class Pairs(nn.Module, ABC):
    """An image tower under a linear head.

    `features` are the tower's own, or their directions where the head was made from texts: then logits are
    scale x cosine, and `head(features)` are the logits in either case.
    """

    unit: torch.Tensor

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(size, classes)
        self.register_buffer("unit", torch.zeros(()))

    @abstractmethod
    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Raw features (n, d); each tower has its own."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Input of the head, (n, d)."""
        raw = self.image(x)
        return F.normalize(raw, dim=1) if self.unit else raw

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def prompts(names: Sequence[str], template: str) -> list[str]:
    """The text of each class: underscores are spaces.

    Example:
        >>> prompts(["ankle_boot"], "a photo of a {}")
        ['a photo of a ankle boot']
    """
    return [template.format(name.replace("_", " ")) for name in names]


def from_texts(state: nets.State, texts: torch.Tensor, scale: float, *, unit: bool) -> nets.State:
    """A state dict whose head is `scale` times the texts' directions, without bias.

    Args:
        state: of the network.
        texts: (classes, d).
        scale: factor of the cosines.
        unit: the head takes directions: zero-shot classification. Else raw features, which have the same predictions.
    """
    rows = scale * F.normalize(texts, dim=1)
    head = {"head.weight": rows, "head.bias": torch.zeros(len(rows))}
    return {**state, **head, "unit": torch.tensor(float(unit))}


def on_raw(state: nets.State) -> nets.State:
    """A state dict whose head takes raw features: what a probe was fitted on."""
    return {**state, "unit": torch.zeros(())}
