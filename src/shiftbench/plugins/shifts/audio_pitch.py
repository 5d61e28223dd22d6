"""Pitch: the voice is higher (or lower), and speaks as fast as before.

Source: a delay line that is read faster than it is written, by two heads that fade into each other, as in Puckette
2007, "The theory and technique of electronic music", section 7.9, https://msp.ucsd.edu/techniques/; heads wander over
32 ms. Levels are 2, 4, 6, 8 and 10 semitones, written as ratios of frequencies.
Formants move with the pitch. A sample comes from within 16 ms of its own time.

Takes no random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: pitch"
FIELD = "audio"
LEVELS = {1: 1.122462048, 2: 1.259921050, 3: 1.414213562, 4: 1.587401052, 5: 1.781797436}
RANGE = _levels.RANGE
WINDOW = 512  # samples
ONE = 1 << audio.BITS


def apply(
    value: Wave,
    severity: float,
    rng: RandomStream,
    *,
    down: Annotated[bool, Field(description="lower the voice instead of raising it")] = False,
) -> Wave:
    """Audio of another pitch, int16 (n,), as long as it was."""
    (ratio,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    if severity == 0:
        return value.copy()
    turn = round((1.0 / ratio if down else ratio) * ONE) - ONE
    return _read(value.astype(np.int64), turn, np.empty(len(value), np.int16))


@compiled
def _read(value: NDArray[np.int64], turn: int, out: Wave) -> Wave:
    """Read with two heads, half a window apart; places are in 2^-15 of a sample, fades in 2^-9.

    A head's delay falls by `turn` each sample, from a window down to nothing, and begins again; its loudness
    is a triangle that is nothing where it jumps.
    """
    span, half = WINDOW << 15, WINDOW // 2
    for n in range(len(value)):
        total = 0
        for head in range(2):
            delay = (head * (span // 2) + span // 2 - turn * n) % span
            at = (n << 15) - delay + (half << 15)
            whole, part = at >> 15, at & 32767
            before = value[whole] if 0 <= whole < len(value) else 0
            after = value[whole + 1] if 0 <= whole + 1 < len(value) else 0
            near = ((32768 - part) * before + part * after) >> 15
            total += near * (half - abs((delay >> 15) - half))
        out[n] = min(max(total // half, -32768), 32767)
    return out
