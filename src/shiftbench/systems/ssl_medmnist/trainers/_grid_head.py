"""Linear heads on fixed features by SGD, one for each learning rate and weight decay, all in one pass.

Source: main_linear.py and scripts/linear/medmnist (KarahanS/Self-Supervised-Learning-for-Medical-Image-Analysis): SGD
with momentum 0.9, decay of weights and biases, the rate a tenth of itself after each of `drops`; torch's `nn.Linear`
begins, `torch.optim.SGD` steps (nesterov off). All heads of a grid begin alike and see the same batches.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shiftbench.base import rng
from shiftbench.base.rng import RandomStream

MOMENTUM, DROP = 0.9, 0.1
Words = tuple[int, str, str]


@dataclass(frozen=True)
class Heads:
    """Heads of a grid, in its order: the rates outside, the decays inside.

    Attributes:
        grid: learning rate and weight decay of each head.
        weights: float32 (g, classes, d).
        biases: float32 (g, classes).
    """

    grid: tuple[tuple[float, float], ...]
    weights: torch.Tensor
    biases: torch.Tensor

    def accuracies(self, features: torch.Tensor, labels: torch.Tensor) -> NDArray[np.float64]:
        """The share of right answers of each head, float64 (g,)."""
        logits = torch.einsum("nd,gcd->gnc", features, self.weights) + self.biases[:, None]
        return (logits.argmax(2) == labels).double().mean(1).numpy()


def fit(  # noqa: PLR0913 - a training
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    words: Words,
    *,
    rates: Sequence[float],
    decays: Sequence[float],
    epochs: int,
    drops: Sequence[int],
    batch: int,
) -> Heads:
    """The heads after the last epoch.

    Args:
        features: float32 (n, d).
        labels: int64 (n,).
        classes: rows of each head.
        words: seed, trainer and dataset, by which the start and each epoch's order are keyed.
        rates: learning rates.
        decays: weight decays.
        epochs: passes over the features.
        drops: epochs after which the rate is a tenth of what it was.
        batch: features of a step; the last one of an epoch has the rest.
    """
    grid = tuple(itertools.product(rates, decays))
    torch.manual_seed(rng.derive(words[0], words[2], "head"))
    start = torch.nn.Linear(features.shape[1], classes)
    heads = torch.cat([start.weight.detach(), start.bias.detach()[:, None]], 1)
    heads = heads.expand(len(grid), -1, -1).clone()
    with_bias = F.pad(features, (0, 1), value=1.0)
    targets = F.one_hot(labels, classes).to(with_bias)
    rate, decay = (torch.tensor(column)[:, None, None] for column in zip(*grid, strict=True))
    velocity = torch.zeros_like(heads)
    for epoch in range(epochs):
        current_rate = rate * DROP ** sum(epoch >= drop for drop in drops)
        order = RandomStream(*words, f"{epoch}/order").choice(len(labels)).astype(np.int64)
        for rows in torch.from_numpy(order).split(batch):
            batch_rows = with_bias[rows]
            errors = torch.softmax(torch.matmul(batch_rows, heads.mT), 2) - targets[rows]
            gradient = torch.matmul(errors.mT, batch_rows) / len(rows) + decay * heads
            velocity.mul_(MOMENTUM).add_(gradient)
            heads.sub_(current_rate * velocity)
    return Heads(grid, heads[..., :-1], heads[..., -1])
