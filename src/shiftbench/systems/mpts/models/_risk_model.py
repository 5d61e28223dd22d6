"""The risk learner of MPTS: from a task's identifier to its risk after adaptation, by way of a latent variable.

q(z | H) = N(mean, std) is inferred from a set H of tasks and risks: an encoder of each pair, their mean, two heads; the
decoder maps identifier and z to a risk. `posterior_mean` and `posterior_std` are q given the last batch that was
learned from, which is the next prior (streaming variational inference); `updates` says how often it learned.

Source: MPTS, arXiv 2501.11039; thu-rllab/MPTS, sinusoid/Model: widths of 10, std = 0.1 + 0.9 sigmoid, a deterministic
decoder (the probabilistic head there is not used).
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
from torch import nn

Gauss = tuple[torch.Tensor, torch.Tensor]
"""Mean and standard deviation of each number of the latent variable, (w,)."""


class RiskModel(nn.Module):
    """A set encoder and a decoder of width w over identifiers of d numbers."""

    posterior_mean: torch.Tensor
    posterior_std: torch.Tensor
    updates: torch.Tensor

    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        self.encoder = _layers(d + 1, width, width, width)
        self.joined = _layers(width, width)
        self.mean, self.spread = _layers(width, width), _layers(width, width)
        self.decoder = _layers(d + width, width, width, width, 1)
        self.register_buffer("posterior_mean", torch.zeros(width))
        self.register_buffer("posterior_std", torch.ones(width))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def posterior(self, tasks: torch.Tensor, targets: torch.Tensor) -> Gauss:
        """Posterior q(z | H) of tasks (n, d) and their targets (n,)."""
        each = _through(self.encoder, torch.cat([tasks.t(), targets[None]]))
        hidden = _through(self.joined, each.mean(1, keepdim=True)).relu()
        mean, spread = (_through(head, hidden)[:, 0] for head in (self.mean, self.spread))
        return mean, 0.1 + 0.9 * spread.sigmoid()

    def expected(self, tasks: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Target of each task (n, d) under each draw of z (s, w): (s, n)."""
        s, n = len(latent), len(tasks)
        pairs = [tasks.t()[:, None].expand(-1, s, n), latent.t()[:, :, None].expand(-1, s, n)]
        return _through(self.decoder, torch.cat(pairs).flatten(1)).view(s, n)

    def remember(self, posterior: Gauss) -> None:
        """Make a posterior the next prior."""
        self.posterior_mean.copy_(posterior[0].detach())
        self.posterior_std.copy_(posterior[1].detach())
        self.updates += 1


def divergence(one: Gauss, other: Gauss) -> torch.Tensor:
    """Kullback-Leibler divergence KL(one || other) of diagonal Gaussians, in nats."""
    ratio = (one[1] / other[1]).square()
    shift = ((one[0] - other[0]) / other[1]).square()
    return 0.5 * (ratio + shift - 1 - ratio.log()).sum()


def _layers(*sizes: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width_in, width_out) for width_in, width_out in pairwise(sizes))


def _through(layers: nn.ModuleList, columns: torch.Tensor) -> torch.Tensor:
    """Map columns (d, n) by linear layers with ReLU between them.

    Items are columns, not rows: with ten numbers each, products take a fifth of the time.
    """
    for at, layer in enumerate(cast("Iterable[nn.Linear]", layers)):
        inputs = columns.relu() if at else columns
        columns = torch.addmm(layer.bias[:, None], layer.weight, inputs)
    return columns
