"""Squared Mahalanobis distances under one covariance, through one whitening; helper of mds, rmds and ssd_plus.

The inverse is the pseudo-inverse: features that never vary (dead units) have no part in the distance. The option
`tolerance` defines the directions that count as constant:

| tolerance | a direction is constant where its variance is at most |
| --- | --- |
| null | what float32 makes of features that do not vary: d eps^2 times their mean squared length, eps of float32 |
| `openood` | d times the epsilon of float64, times the largest variance |
| a share | this share of the largest variance |

`openood` is `scipy.linalg.pinvh`, which OpenOOD and the paper's code call by way of scikit-learn. Of float32 features
that lie far from 0 and span few dimensions it lets the rounding pass as directions, whose tiny variance it divides by.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import eigh

from shiftbench.base.errors import DataError, ParamsError

Floats = NDArray[np.float64]
OPENOOD = "openood"
Tolerance = Annotated[
    Annotated[float, Field(ge=0, lt=1)] | Literal["openood"] | None,
    Field(
        description="share of the largest variance up to which a direction is constant; null: rounding of float32; "
        "openood: of float64"
    ),
]


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
        """The squared distance of features (n, d) to the nearest mean, float64 (n,), at least 0."""
        points = (features - self.origin) @ self.whitening
        # Products find the nearest mean, differences measure: no cancellation, and the same for any batch.
        ranks = np.square(self.centres).sum(axis=1) - 2 * points @ self.centres.T
        distances: Floats = np.square(points - self.centres[np.argmin(ranks, axis=1)]).sum(axis=1)
        return distances


def gaussians(means: Floats, covariance: Floats, tolerance: object, name: str) -> Gaussians:
    """The Gaussians with `means` (C, d) and one covariance (d, d).

    Args:
        means: one per class.
        covariance: symmetric.
        tolerance: which directions count as constant, see above.
        name: of the training rows, for messages.

    Raises:
        DataError: nothing varies.
        ParamsError: a tolerance that is none of those above.
    """
    variances, axes = eigh(covariance)
    kept = variances > max(_floor(tolerance, variances, means), 0)
    if not kept.any():
        raise DataError(
            f"{name}: the training features do not vary within their classes, so that their covariance is zero; "
            "take more training samples, or another detector"
        )
    origin = means.mean(axis=0)
    whitening = axes[:, kept] / np.sqrt(variances[kept])
    return Gaussians(origin, whitening, (means - origin) @ whitening)


def _floor(tolerance: object, variances: Floats, means: Floats) -> float:
    """The variance up to which a direction counts as constant."""
    d, largest = len(variances), float(variances[-1])
    own = max(largest * d * float(np.finfo(np.float64).eps), 0)
    if tolerance is None:
        length = float(variances.sum() + np.square(means).sum(axis=1).mean())
        return max(own, rounding(d, length))
    if tolerance == OPENOOD:
        return own
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise ParamsError(f"tolerance is {tolerance!r}; expected null, {OPENOOD!r}, or a share in [0, 1)")
    return tolerance * largest


def rounding(d: int, length: float) -> float:
    """The variance that float32 may give d features that do not vary; `length` is their mean squared length."""
    return d * float(np.finfo(np.float32).eps) ** 2 * length
