"""Adaptation by gradient: each task of a batch gets weights of its own, some steps from common ones.

All weights of a net are one vector (p,), those of n tasks the rows of a matrix (n, p), so that a step on all tasks is
one operation. The net is called as `net.forward(inputs, rows)`, inputs (n, k, d), answers (n, k), and says what its
`risks` are.

Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, equation 1. Meta-training, whose gradient goes through the step,
is in `_second_order.py`.
"""

from typing import Any

import torch


def adapted(net: Any, vector: torch.Tensor, support: torch.Tensor, rate: float, steps: int) -> torch.Tensor:
    """Return the weights of each task after gradient steps on the risk of its support points, (n, p).

    Args:
        net: what the weights belong to.
        vector: the common weights, (p,).
        support: (n, k, d + 1), the target last.
        rate: of the steps.
        steps: how many.
    """
    rows = vector.expand(len(support), -1)
    for _ in range(steps):
        rows = rows.detach().requires_grad_()
        loss = risks(net, support, rows).sum()  # a row is in its own task's risk alone
        (gradient,) = torch.autograd.grad(loss, rows)
        rows = rows - rate * gradient
    return rows.detach()


def risks(net: Any, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the risk of each task over its points (n, k, d + 1), under its weights (n, p); (n,)."""
    found: torch.Tensor = net.risks(net.forward(points[..., :-1], rows), points[..., -1])
    return found
