"""Noise at a signal-to-noise ratio: white noise is added to the whole clip, in proportion to its mean power.

Source: the additive noise of Ko et al. 2017, "A study on data augmentation of reverberant speech for robust speech
recognition", https://doi.org/10.1109/ICASSP.2017.7953152; levels are 20, 15, 10, 5 and 0 dB, written as noise to
signal in amplitude. The power is that of all samples, pauses included. Silence stays silent. The sum is rounded and cut
at full scale.

Takes 16-bit words: one per sample.
"""

import numpy as np

from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: noise"
FIELD = "audio"
LEVELS = {1: 0.1, 2: 0.1778279410, 3: 0.3162277660, 4: 0.5623413252, 5: 1.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Noisy audio, int16 (n,), as long as it was."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    power = int(np.square(value, dtype=np.int64).sum()) / len(value)
    noise = rng.normal(len(value)).astype(np.float64) * (share * np.sqrt(power))
    return audio.rounded(value + noise)
