"""Which parameters of a net an optimiser treats alike."""

from typing import Any

from torch import nn


def by_decay(net: nn.Module, decay: float, lr: float = 0.0, head: float = 1.0) -> list[dict[str, Any]]:
    """Return groups of what learns: matrices, which are decayed, and biases and norms, which are not.

    Args:
        net: its parameters that need a gradient are taken.
        decay: weight decay of the first group.
        lr: learning rate.
        head: the net's `head` has groups of its own, with `lr` times this; 1: it is as the rest.
    """
    learning = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    groups = []
    for factor in dict.fromkeys((1.0, head)):
        its = [p for name, p in learning if head == 1.0 or (factor == 1.0) != name.startswith("head.")]
        rate = {} if factor == 1.0 else {"lr": factor * lr}
        groups += [
            {"params": [p for p in its if p.ndim > 1], "weight_decay": decay, **rate},
            {"params": [p for p in its if p.ndim <= 1], "weight_decay": 0.0, **rate},
        ]
    return groups
