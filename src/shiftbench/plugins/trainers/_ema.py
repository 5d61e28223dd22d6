"""A copy of a network that follows it: its weights are a running mean of the network's, over steps.

    target <- m target + (1 - m) network,  m = last - (last - first) (1 + cos(pi u / steps)) / 2 at update u, from 0

Source: He et al., "Momentum Contrast", CVPR 2020, equation 2; the cosine is that of Grill et al., "Bootstrap Your Own
Latent", NeurIPS 2020, section 3.2, with solo-learn's end. Parameters alone follow: running statistics of norms are the
copy's own.
"""

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def follower(network: Net) -> Net:
    """A copy that takes no gradient."""
    return copy.deepcopy(network).requires_grad_(requires_grad=False)


def momentum(update: int, steps: int, first: float, last: float) -> float:
    """M of an update, from `first` to `last`.

    Example:
        >>> momentum(0, 100, 0.99, 1.0), round(momentum(50, 100, 0.99, 1.0), 4)
        (0.99, 0.995)
    """
    return last - (last - first) * (1 + math.cos(math.pi * update / steps)) / 2


@torch.no_grad()
def follow(target: nn.Module, network: nn.Module, m: float) -> None:
    """Move a copy towards its network, in place."""
    for copied, trained in zip(target.parameters(), network.parameters(), strict=True):
        copied.mul_(m).add_(trained, alpha=1 - m)
