"""Squared Mahalanobis distances under one covariance, through one whitening; helper of mds and rmds.

The inverse is the pseudo-inverse: features that never vary (dead units) have no part in the distance. Directions
whose variance is at most `tolerance` times the largest count as constant; the default is d times the
epsilon of float64, that of `scipy.linalg.pinvh`, which OpenOOD and the paper's code call by way of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from shiftbench.errors import DataError, ParamsError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussians:
    """Gaussians of one covariance.

    Attributes:
        origin: float64 (d,), near the data, so that little cancels.
        whitening: float64 (d, r), r the rank of the covariance; `whitening @ whitening.T` is its pseudo-inverse.
        centres: the whitened means, float64 (C, r).
    """

    origin: Floats
    whitening: Floats
    centres: Floats

    def nearest(self, features: Floats) -> Floats:
        """Return the squared distance of features (n, d) to the nearest mean, float64 (n,), at least 0."""
        points = (features - self.origin) @ self.whitening
        # Products find the nearest mean, differences measure: no cancellation, and the same for any batch.
        ranks = np.square(self.centres).sum(axis=1) - 2 * points @ self.centres.T
        distances: Floats = np.square(points - self.centres[np.argmin(ranks, axis=1)]).sum(axis=1)
        return distances


def gaussians(means: Floats, covariance: Floats, tolerance: object, name: str) -> Gaussians:
    """Return the Gaussians with `means` (C, d) and one covariance (d, d).

    Args:
        means: one per class.
        covariance: symmetric.
        tolerance: the share of the largest variance up to which a direction counts as constant, in [0, 1).
        name: of the training rows, for messages.

    Raises:
        DataError: nothing varies.
        ParamsError: a tolerance out of its range.
    """
    if tolerance is None:
        tolerance = len(covariance) * float(np.finfo(np.float64).eps)
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise ParamsError(f"tolerance is {tolerance!r}; expected null or a share in [0, 1)")
    variances, axes = eigh(covariance)
    kept = variances > max(tolerance * variances[-1], 0)
    if not kept.any():
        raise DataError(
            f"{name}: the training features do not vary within their classes, so that their covariance is zero; "
            "take more training samples, or another detector"
        )
    origin = means.mean(axis=0)
    whitening = axes[:, kept] / np.sqrt(variances[kept])
    return Gaussians(origin, whitening, (means - origin) @ whitening)
