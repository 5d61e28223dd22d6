"""Room: what walls send back is added, later and later, until it has died away by 60 dB.

Source: Schroeder 1962, "Natural sounding artificial reverberation",
https://aes2.org/publications/elibrary-page/?id=849: four combs side by side, then two all-passes; the delays (29.7,
37.1, 41.1, 43.7 ms; 5.0, 1.7 ms; gain 0.7) are those of his example. Levels are the time until -60 dB in seconds and
the share of the room in the sum; the direct sound is what is left of it, and keeps its place in time. The tail beyond
the clip's end is cut off.

Takes no random words.
"""

import decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: reverberation"
FIELD = "audio"
LEVELS = {1: (0.2, 0.15), 2: (0.4, 0.25), 3: (0.6, 0.35), 4: (0.8, 0.45), 5: (1.0, 0.6)}
RANGE = _levels.RANGE
COMBS = (475, 594, 658, 699)  # samples
ALL_PASSES = (80, 27)
GAIN = 22_938  # 0.7 of 2^15
ONE = 1 << audio.BITS


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Audio as heard in a room, int16 (n,), as long as it was."""
    time, share = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    direct = value.astype(np.int64)
    room = np.zeros_like(direct)
    for delay in COMBS:
        _comb(direct, delay, _feedback(delay, time), room)
    room >>= 2
    for delay in ALL_PASSES:
        room = _all_pass(room, delay, GAIN, np.empty_like(room))
    mixed = round(share * ONE)
    return audio.to_int16(direct * (ONE - mixed) + room * mixed)


@lru_cache(maxsize=64)
def _feedback(delay: int, time: float) -> int:
    """Gain of a comb per round, of 2^15: 10^(-3 delay / time), in decimals, equal on every machine."""
    if time == 0:
        return 0
    with decimal.localcontext(decimal.Context(prec=30)):
        rounds = decimal.Decimal(-3 * delay) / (decimal.Decimal(time) * audio.RATE)
        return round(decimal.Decimal(10) ** rounds * ONE)


@compiled
def _comb(direct: NDArray[np.int64], delay: int, feedback: int, total: NDArray[np.int64]) -> None:
    """Add y[n] = x[n - delay] + feedback y[n - delay] to `total`."""
    kept = np.zeros(len(direct), np.int64)
    for n in range(delay, len(direct)):
        kept[n] = direct[n - delay] + ((kept[n - delay] * feedback) >> 15)
        total[n] += kept[n]


@compiled
def _all_pass(value: NDArray[np.int64], delay: int, gain: int, out: NDArray[np.int64]) -> NDArray[np.int64]:
    """Y[n] = -gain x[n] + x[n - delay] + gain y[n - delay]."""
    for n in range(len(value)):
        before = value[n - delay] if n >= delay else 0
        back = out[n - delay] if n >= delay else 0
        out[n] = before + ((gain * (back - value[n])) >> 15)
    return out
