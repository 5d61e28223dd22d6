"""Prototypes of classes on the unit sphere, which follow the samples by a moving average and have no optimiser.

Sinkhorn's algorithm assigns a batch to the prototypes: each sample has one unit of mass, and each prototype gets an
equal share. It works with logarithms, where exp(1 / 0.05) cannot overflow. PALM's released code uses exponentials and
looks for infinities, with the same result otherwise.

Source: PALM, ICLR 2024, arXiv 2402.02653, assignment and update of prototypes; Cuturi 2013, "Sinkhorn Distances:
Lightspeed Computation of Optimal Transport"; online assignments as in Caron et al. 2020, "SwAV". Prototypes are a
buffer that changes in place, so that they move with the model (in the released code they are an attribute).
"""

import torch
import torch.nn.functional as F
from torch import nn


class Prototypes(nn.Module):
    """`each` prototypes of every class; prototype r belongs to class r mod classes.

    Attributes:
        points: float32 (classes x each, width), of length 1.
        owners: the class of each, int64 (classes x each,).
    """

    points: torch.Tensor
    owners: torch.Tensor

    def __init__(self, classes: int, each: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("points", F.normalize(torch.rand(classes * each, width), dim=1))
        self.register_buffer("owners", torch.arange(classes * each) % classes)

    def owned(self, labels: torch.Tensor) -> torch.Tensor:
        """Whether each prototype is of each label's class, 0 or 1, float32 (n, r)."""
        return (labels[:, None] == self.owners).float()

    def nearest(self, z: torch.Tensor) -> torch.Tensor:
        """The class of the nearest prototype, int64 (n,)."""
        return self.owners[(z @ self.points.T).argmax(1)]


def assign(z: torch.Tensor, points: torch.Tensor, eps: float, rounds: int) -> torch.Tensor:
    """The balanced assignments of all samples to all prototypes, (n, r), without gradient."""
    return balanced(z.detach() @ points.detach().T, eps, rounds)


def largest(weights: torch.Tensor, count: int) -> torch.Tensor:
    """1 where the `count` largest of each row are, else 0."""
    places = weights.topk(min(count, weights.shape[1]), dim=1).indices
    return torch.zeros_like(weights).scatter(1, places, 1.0)


def within_classes(weights: torch.Tensor, classes: int, count: int) -> torch.Tensor:
    """The `count` largest of each row and class over their sum, else 0: rows sum to 1 over each class."""
    by_class = weights.reshape(len(weights), -1, classes).transpose(1, 2).flatten(0, 1)
    pruned = shares(largest(by_class, count) * by_class)
    return pruned.reshape(len(weights), classes, -1).transpose(1, 2).reshape(weights.shape)


def shares(weights: torch.Tensor, dim: int = 1) -> torch.Tensor:
    """Weights of at least 0 over their sum along `dim`; where they are all 0, zeros."""
    return F.normalize(weights, p=1.0, dim=dim)


def average_step(points: torch.Tensor, z: torch.Tensor, weights: torch.Tensor, momentum: float) -> torch.Tensor:
    """The points after one step of the moving average; the gradient flows into `z`.

    Args:
        points: of length 1, (r, d).
        z: samples of length 1, (n, d).
        weights: of each sample in each prototype's new place; columns sum to 1, (n, r).
        momentum: share of the old place; a prototype without samples stays.
    """
    return F.normalize(momentum * points + (1 - momentum) * weights.T @ z, dim=1)


def balanced(similarity: torch.Tensor, eps: float, rounds: int) -> torch.Tensor:
    """Assignments float32 (n, r) whose rows sum to 1, without gradient.

    Args:
        similarity: of n samples and r prototypes, (n, r).
        eps: the smaller, the harder the assignments.
        rounds: of normalising columns, then rows. The sums of the columns tend to n / r.
    """
    mass = similarity.detach().float() / eps
    for _ in range(rounds):
        mass = mass - mass.logsumexp(dim=0, keepdim=True)
        mass = mass - mass.logsumexp(dim=1, keepdim=True)
    if not rounds:
        mass = mass - mass.logsumexp(dim=(0, 1), keepdim=True)
    return mass.exp()
