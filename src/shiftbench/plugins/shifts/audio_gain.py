"""Gain: the clip is quieter, by 6 to 30 dB.

Source: Ko et al. 2015, "Audio augmentation for speech recognition",
https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html, whose volume perturbation is milder; levels are
6, 12, 18, 24 and 30 dB, written as factors. The product is rounded, so that what is quiet loses bits, as behind a
microphone that is too far away.

Takes no random words.
"""

import numpy as np

from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: gain"
FIELD = "audio"
LEVELS = {1: 0.5011872336, 2: 0.2511886432, 3: 0.1258925412, 4: 0.0630957344, 5: 0.0316227766}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Wave, severity: float, rng: RandomStream) -> Wave:
    """Quieter audio, int16 (n,), as long as it was."""
    (factor,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    return audio.rounded(value.astype(np.float64) * factor)
