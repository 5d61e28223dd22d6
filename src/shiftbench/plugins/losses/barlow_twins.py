"""Barlow Twins: coordinates of two views should correlate with themselves, and with no other coordinate.

    l = s (sum_i (1 - C_ii)^2 + r sum_{i != j} C_ij^2)

with the correlation C_ij of coordinate i of one view with coordinate j of the other.

Source: Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021, equations 1 and 2;
coordinates are standardised as batch normalisation does (variance over n, plus 1e-5), and s is the scale of its code.
"""

import torch

EPS = 1e-5


def loss(one: torch.Tensor, other: torch.Tensor, *, redundancy: float, scale: float) -> torch.Tensor:
    """Return the loss, at least 0.

    Args:
        one: float (n, d), a view of each image, not normalised.
        other: float (n, d), another view of the same images.
        redundancy: weight r of the correlations of different coordinates.
        scale: factor s of the whole.

    Example:
        >>> rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(loss(rows, -rows, redundancy=0.005, scale=0.1).item(), 2)
        0.8
    """
    cross = _standardised(one).T @ _standardised(other) / len(one)
    own = cross.diagonal()
    rest = cross.square().sum() - own.square().sum()
    return scale * ((1 - own).square().sum() + redundancy * rest)


def _standardised(view: torch.Tensor) -> torch.Tensor:
    return (view - view.mean(0)) / (view.var(0, correction=0) + EPS).sqrt()
