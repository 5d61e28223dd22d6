"""Newton-Schulz iteration: the nearest matrix with orthonormal rows, by products of matrices alone.

With X_0 = B / (|B|_F + 1e-7), each step is A = X X', X <- a X + (b A + c A A) X. It maps every singular value s to
phi(s) = a s + b s^3 + c s^5 and leaves the singular vectors as they are, so after k steps X = U diag(phi^k(s)) V'.

Source: the iteration is Bernstein and Newhouse 2024, "Old Optimizer, New Norm", arXiv:2409.20325; Muon's coefficients
and the five steps are Jordan et al. 2024, KellerJordan/Muon. Differs: float32, not bfloat16, which is slow and inexact
on a CPU.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

STEPS = 5
FLOOR = 1e-7
LARGE = 512
CLASSIC = (1.5, -0.5, 0.0)
MUON = (3.4445, -4.7750, 2.0315)

Floats = NDArray[np.float64]


def orthogonalised(matrix: torch.Tensor, coefficients: Sequence[float], steps: int = STEPS) -> torch.Tensor:
    """U diag(phi^steps(s)) V' of a matrix (m, n) with singular values s of its unit Frobenius norm.

    Args:
        matrix: float, (m, n); the taller side is transposed for the products.
        coefficients: a, b, c.
        steps: how often.
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + FLOOR)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = x.T if tall else x
    return result


def mapped(values: Floats, coefficients: Sequence[float] | Floats, steps: int = STEPS) -> Floats:
    """The phi^steps of singular values of matrices of unit Frobenius norm."""
    a, b, c = coefficients
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return values


def error(values: Floats, coefficients: Sequence[float], steps: int = STEPS) -> float:
    """The root mean square of phi^steps(s) - 1: |X - UV'|_F / |UV'|_F.

    Args:
        values: singular values of a matrix of unit Frobenius norm, float64 (r,).
        coefficients: a, b, c.
        steps: how often.
    """
    return float(np.sqrt(np.mean((mapped(values, coefficients, steps) - 1) ** 2)))


def spectrum(matrix: NDArray[np.floating]) -> Floats:
    """The singular values of a matrix over its Frobenius norm, float64 (min(m, n),).

    From 512 rows and columns on they are roots of the eigenvalues of the smaller Gram matrix: several times faster, and
    right to 1e-8 of the largest.
    """
    exact = np.asarray(matrix, np.float64)
    if min(exact.shape) < LARGE:
        values = np.asarray(np.linalg.svd(exact, compute_uv=False), np.float64)
    else:
        wide = exact if exact.shape[0] <= exact.shape[1] else exact.T
        values = np.sqrt(np.linalg.eigvalsh(wide @ wide.T).clip(min=0))
    shares: Floats = values / np.linalg.norm(values)
    return shares
