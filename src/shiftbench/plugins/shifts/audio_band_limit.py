"""Band limit: frequencies above a cut are removed, as by a telephone or a low rate of sampling.

Source: the band limits of speech channels, ITU-T G.711 (0.3 to 3.4 kHz), https://www.itu.int/rec/T-REC-G.711, and
below; levels are cuts of 6, 4.5, 3.4, 2 and 1 kHz. A low pass of 129 weights in whole numbers (a sinc under
Blackman's window), without delay.

Takes no random words.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: band limit"
FIELD = "audio"
LEVELS = {1: 6000.0, 2: 4500.0, 3: 3400.0, 4: 2000.0, 5: 1000.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}
HALF = 64
WHOLE = audio.RATE / 2


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Audio without its high frequencies, int16 (n,), as long as it was."""
    (cut,) = _levels.at(__name__, LEVELS, severity, zero=WHOLE)
    wide = np.pad(value.astype(np.int64), HALF)
    return audio.to_int16(np.convolve(wide, _weights(cut), mode="valid"))


@lru_cache(maxsize=16)
def _weights(cut: float) -> NDArray[np.int64]:
    """The weights of the low pass, int64 (129,), which add up to 2^15."""
    places = [float(k) for k in range(-HALF, HALF + 1)]
    return audio.integer_weights(places, cut / WHOLE, HALF, middle=HALF)
