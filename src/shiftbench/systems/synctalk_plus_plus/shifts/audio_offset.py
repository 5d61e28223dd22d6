"""Offset: the sound comes so many frames too late, behind silence.

Source: the known offsets by which Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016,
https://www.robots.ox.ac.uk/~vgg/publications/2016/Chung16a/, check their judge. A severity is a whole number of
frames of 40 ms.

Takes no random words.
"""

import numpy as np

from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.data.audio import Wave
from shiftbench.data.frames import SAMPLES
from shiftbench.plugins.shifts import _levels

FIELD = "audio"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 10.0)


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Late audio, int16 (n,), as long as it was: its end is cut off.

    Raises:
        RangeError: severity outside 0 to 10, or no whole number.
    """
    _levels.check(__name__, severity, RANGE)
    if severity != int(severity):
        raise RangeError(f"shift 'audio_offset': severity {severity:g} is no whole number of frames")
    late = int(severity) * SAMPLES
    return np.concatenate([np.zeros(late, np.int16), value])[: len(value)]
