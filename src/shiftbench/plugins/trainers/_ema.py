"""A copy of a net that follows it: its weights are a running mean of the net's, over steps.

    target <- m target + (1 - m) net,  m = last - (last - first) (1 + cos(pi u / steps)) / 2 at update u, from 0

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


def follower(net: Net) -> Net:
    """A copy that takes no gradient."""
    return copy.deepcopy(net).requires_grad_(requires_grad=False)


def momentum(update: int, steps: int, first: float, last: float) -> float:
    """M of an update, from `first` to `last`.

    Example:
        >>> momentum(0, 100, 0.99, 1.0), round(momentum(50, 100, 0.99, 1.0), 4)
        (0.99, 0.995)
    """
    return last - (last - first) * (1 + math.cos(math.pi * update / steps)) / 2


@torch.no_grad()
def follow(target: nn.Module, net: nn.Module, m: float) -> None:
    """Move a copy towards its net, in place."""
    for kept, given in zip(target.parameters(), net.parameters(), strict=True):
        kept.mul_(m).add_(given, alpha=1 - m)
