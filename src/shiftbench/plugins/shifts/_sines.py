"""Sines that are the same on every CPU, for what the C library's may not be: a table, and a polynomial.

Phases are in turns: 1 is a full circle. The table takes the whole phases of `BITS` bits and is exact to
its rounding, so that a phase between two is off by at most pi / 8192; the polynomial of five odd powers
is off by 6e-6 at most between -1/2 and 1/2 and consists of single float32 operations.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 13
TURN = 1 << BITS  # phases of the table
ONE = 1 << 14  # the table's largest value: products of two values and their sums fit 32 bits
SINE = tuple(map(np.float32, (6.2830557823181, -41.331214904785, 81.366813659668, -74.478004455566, 32.781394958496)))
"""Coefficients of t, t**3, ... t**9 of sin(2 pi t); the worst error is evenly spread."""


@lru_cache(maxsize=1)
def table() -> NDArray[np.int16]:
    """`ONE` x sin at 8,192 phases, int16; the cosine of i is at (i + TURN // 4) % TURN.

    The C library's sine errs by 1e-16 or so; no value comes within 1e-6 of where its rounding turns.
    """
    quarter = [round(math.sin(2 * math.pi * i / TURN) * ONE) for i in range(TURN // 4 + 1)]
    half = quarter + quarter[-2:0:-1]
    values = np.array(half + [-value for value in half], dtype=np.int16)
    values.flags.writeable = False
    return values


def sine(phase: int) -> float:
    """The sine of one whole phase, from the table.

    Example:
        >>> sine(TURN // 4)
        1.0
    """
    return int(table()[phase % TURN]) / ONE


def cosine(phase: int) -> float:
    """The cosine of one whole phase."""
    return sine(phase + TURN // 4)
