"""Distance and direction of every pixel from one point, in single float32 operations: equal on every CPU."""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

ARCTANGENT = tuple(
    map(np.float32, (0.15915131569, -0.05293856561, 0.03080290556, -0.01852984354, 0.00837907847, -0.00186515541))
)
"""Coefficients of t, t**3, ... t**11 of arctan(t) in turns for t from 0 to 1: 2.7e-7 turns off at most."""


def polar(shape: tuple[int, int], row: float, column: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Squared distances in pixels and directions in turns, float32 (h, w) each.

    Args:
        shape: (h, w).
        row: of the point, 0 is the middle of the first row.
        column: of the point.

    Returns:
        squared distances, and directions from -1/2 to 1/2: 0 is down, 1/4 is right.
    """
    squares = np.empty(shape, dtype=np.float32)
    turns = np.empty(shape, dtype=np.float32)
    _polar(np.float32(row), np.float32(column), ARCTANGENT, squares, turns)
    return squares, turns


@compiled
def _polar(
    row: np.float32,
    column: np.float32,
    arctangent: tuple[np.float32, ...],
    squares: NDArray[np.float32],
    turns: NDArray[np.float32],
) -> None:
    height, width = squares.shape
    first, second, third, fourth, fifth, sixth = arctangent
    for i in range(height):
        down = np.float32(i) - row
        tall = abs(down)
        square = down * down
        for j in range(width):
            right = np.float32(j) - column
            wide = abs(right)
            squares[i, j] = square + right * right
            most = max(wide, tall)
            t = min(wide, tall) / max(most, np.float32(1e-30))
            s = t * t
            turn = first + s * (second + s * (third + s * (fourth + s * (fifth + s * sixth))))
            turn *= t
            turn = np.float32(0.25) - turn if wide > tall else turn  # from the vertical
            turn = np.float32(0.5) - turn if down < np.float32(0) else turn
            turns[i, j] = -turn if right < np.float32(0) else turn
