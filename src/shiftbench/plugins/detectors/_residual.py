"""The residual of features outside of their principal space; helper of vim and residual.

The origin is u = -pinv(W) b, where the head's bias vanishes; the principal space is spanned by the `dim` eigenvectors
with the largest eigenvalues of the mean of (z - u)(z - u)' over the training features.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import eigh

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Head, Rows

Floats = NDArray[np.float64]
Dim = Annotated[
    int | None,
    Field(ge=1, description="dimensions of the principal space; null: 256, or half of the features if that is less"),
]
DIM = 256
CLOSE = 1e-6
"""Share of the square that is left below which a residual is not taken as a difference: 1e-10 of it is right then."""
ROUNDING = 1e-6
"""Share of the features' length below which a residual is the rounding of float32 features."""


@dataclass(frozen=True)
class Residual:
    """The space beside the principal one.

    Attributes:
        origin: float64 (d,).
        basis: orthonormal columns, float64 (d, d - dim).
        principal: the others, float64 (d, dim).
    """

    origin: Floats
    basis: Floats
    principal: Floats

    def norm(self, rows: Rows) -> Floats:
        """The length of the residual of the features of a block of rows, float64 (n,).

        Where the principal space is the smaller one, what is not in it is what is left of the square; features of
        which next to nothing is left, so that the difference would be rounding, are projected.
        """
        centred = _blocks.centred(rows, self.origin)
        if self.principal.shape[1] >= self.basis.shape[1]:
            return _lengths(centred @ self.basis)
        whole, inside = _squares(centred), _squares(centred @ self.principal)
        left: Floats = whole - inside
        small = left < CLOSE * whole
        left[small] = _squares(centred[small] @ self.basis)
        return np.sqrt(left)


def _squares(rows: Floats) -> Floats:
    squares: Floats = np.einsum("nd,nd->n", rows, rows)
    return squares


def _lengths(rows: Floats) -> Floats:
    return np.sqrt(_squares(rows))


def residual(train: Rows, head: Head, dim: object) -> Residual:
    """The space beside the principal one of the training features.

    Args:
        train: rows with features.
        head: float64 weight (C, d) and bias (C,).
        dim: dimensions of the principal space, 1 to d - 1; None: 256, or half of d where that is less.

    Raises:
        ParamsError: `dim` leaves nothing, of the features or of what they span: few samples span few dimensions, and
            beside these axes are as good as any others.
    """
    width = train.features.shape[1]
    dim = _dim(dim, width)
    origin = -np.linalg.pinv(head.weight) @ head.bias
    lengths, axes = eigh(_statistics.scatter(train, origin))  # mean squares along the axes, ascending
    if lengths[: width - dim].sum() <= ROUNDING**2 * lengths.sum():
        raise ParamsError(
            f"{train.name}: the training features lie in {dim} dimensions, beside which nothing is left; expected a "
            "residual; set a smaller `dim`, or take more training samples"
        )
    parts = np.split(axes, [width - dim], axis=1)
    return Residual(origin, *map(np.ascontiguousarray, parts))


def _dim(dim: object, width: int) -> int:
    if dim is None:
        return min(DIM, width // 2)
    if isinstance(dim, bool) or not isinstance(dim, int) or not 0 < dim < width:
        raise ParamsError(
            f"dim is {dim!r}; expected null or a whole number from 1 to {width - 1}: there are {width} features, and "
            "the residual has what `dim` leaves of them"
        )
    return dim
