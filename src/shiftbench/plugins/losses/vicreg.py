"""VICReg: views alike, each coordinate of a spread of 1 at least, no two coordinates correlated.

    l = i s(z, y) + v (h(z) + h(y)) + c (k(z) + k(y))
    s   mean squared difference of the coordinates
    h   mean over coordinates of max(0, 1 - sqrt(var + 1e-4))
    k   sum of the squared covariances of different coordinates, by the number of coordinates

Source: Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, equations 1 to 6 (variances and covariances over n - 1). The authors' code halves the second term; the
paper's equation, and solo-learn's code, do not.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

EPS = 1e-4


def loss(one: torch.Tensor, other: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Return the sum of the three terms, at least 0.

    Args:
        one: float (n, d), a view of each image, not normalised; n at least 2.
        other: float (n, d), another view of the same images.
        weights: of invariance, variance and covariance.

    Example:
        >>> same = torch.zeros(3, 2)
        >>> round(loss(same, same, (25.0, 25.0, 1.0)).item(), 4)
        49.5
    """
    invariance, variance, covariance = weights
    total = invariance * F.mse_loss(one, other)
    for view in (one, other):
        total = total + variance * _flatness(view) + covariance * _redundancy(view)
    return total


def _flatness(view: torch.Tensor) -> torch.Tensor:
    return F.relu(1 - (view.var(0) + EPS).sqrt()).mean()


def _redundancy(view: torch.Tensor) -> torch.Tensor:
    centred = view - view.mean(0)
    covariance = centred.T @ centred / (len(view) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / view.shape[1]
