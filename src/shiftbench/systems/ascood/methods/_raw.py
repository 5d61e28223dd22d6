"""A network seen before its head standardises."""

from typing import Any

import torch
from torch import nn


class Raw(nn.Module):
    """A network with `raw`, `standardised` and `head`: `predict` gives the raw features and the logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.net = model

    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features h (n, d) and logits (n, classes)."""
        h = self.net.raw(x)
        return h, self.net.head(self.net.standardised(h))
