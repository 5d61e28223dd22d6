"""Networks of several modalities: a feature and a head of each, and a joint head on all features one after the other.

Source: Dong et al. 2024, arXiv:2405.17419, section 4: the networks h_k and the classifier on the concatenation.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from shiftbench.base.errors import ParamsError, suggest


class Modal(nn.Module):
    """Inputs by field to features (n, d), d the sum of the modalities' widths, and joint logits (n, classes).

    Attributes:
        names: the modalities, in the order of the features.
        widths: features of each.
        branches: network of each: the inputs by field -> features (n, width).
        heads: linear layer of each, which the joint logits do not use.
        head: the joint linear layer.
    """

    def __init__(self, branches: Mapping[str, nn.Module], widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.names, self.widths = tuple(branches), tuple(widths)
        self.branches = nn.ModuleDict(branches)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, classes) for name, width in zip(branches, widths, strict=True)}
        )
        self.head = nn.Linear(sum(widths), classes)

    def features(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The features of all modalities, (n, d)."""
        return torch.cat([branch(x) for branch in self.branches.values()], dim=1)

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Joint logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def slices(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The part of features (n, d) that belongs to each modality."""
        parts: tuple[torch.Tensor, ...] = torch.split(features, list(self.widths), dim=1)
        return parts

    def alone(self, features: torch.Tensor) -> list[torch.Tensor]:
        """Logits (n, classes) of the head of each modality for its part of features (n, d)."""
        parts = zip(self.heads.values(), self.slices(features), strict=True)
        return [head(part) for head, part in parts]


def check(names: Sequence[str], known: Sequence[str], model: str) -> list[str]:
    """The modalities of a model.

    Raises:
        ParamsError: there is none, one is unknown, or one is named twice.
    """
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise ParamsError(f"{model}: modality {wrong!r}; {suggest(str(wrong), known)}")
    if not names or len(set(names)) < len(names):
        raise ParamsError(
            f"{model}: modalities is {list(names)}; expected one or more of {', '.join(known)}, each once"
        )
    return list(names)
