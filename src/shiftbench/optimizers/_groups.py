"""Which parameters of a net an optimiser treats alike."""

from __future__ import annotations

from typing import Any

from torch import nn


def by_decay(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return two groups of what learns: matrices, which are decayed, and biases and norms, which are not.

    Args:
        net: its parameters that need a gradient are taken.
        decay: weight decay of the first group.
    """
    learning = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
