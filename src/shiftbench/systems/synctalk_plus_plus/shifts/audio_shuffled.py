"""Shuffled sound: pieces of 0.2 s stand in another order, so that a voice stays and nothing belongs to its mouth.

Source: ours, the control of LSE-C (its value for sound that does not belong). Severity 1 shuffles, 0 does not.

Takes 64-bit words: one for each piece.
"""

import numpy as np

from shiftbench.base.rng import RandomStream
from shiftbench.data.audio import RATE, Wave
from shiftbench.plugins.shifts import _levels

FIELD = "audio"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1.0)
PIECE = RATE // 5


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Audio with that share of its pieces shuffled, int16 (n,), as long as it was.

    Raises:
        RangeError: severity outside 0 to 1.
    """
    _levels.check(__name__, severity, RANGE)
    pieces = [value[index : index + PIECE] for index in range(0, len(value), PIECE)]
    order = rng.choice(len(pieces))
    chosen = sorted(order[: round(severity * len(pieces))].tolist())
    sources = iter(order[: len(chosen)].tolist())
    return np.concatenate([pieces[next(sources)] if index in chosen else piece for index, piece in enumerate(pieces)])
