"""Audio: a clip is quieter, noisier or duller, and as long as it was.

Waves are int16 (n,).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels

HALF = 64  # weights of a low pass on each side of the middle
WHOLE = audio.RATE / 2  # the highest frequency, Hz


@declare.audio_shift(
    _levels.Linear((0.5011872336, 0.2511886432, 0.1258925412, 0.0630957344, 0.0316227766), zero=1.0),
    title="Audio: gain",
)
def audio_gain(wave: Wave, factor: float, rng: RandomStream) -> Wave:
    """Gain: the clip is quieter, by 6 to 30 dB.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition",
    https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html, whose volume perturbation is milder; levels are
    6, 12, 18, 24 and 30 dB, written as factors. The product is rounded, so that what is quiet loses bits, as behind a
    microphone that is too far away.

    Takes no random words.
    """
    return audio.rounded(wave.astype(np.float64) * factor)


@declare.audio_shift(_levels.Linear((0.1, 0.177827941, 0.316227766, 0.5623413252, 1.0), zero=0.0), title="Audio: noise")
def audio_noise(wave: Wave, share: float, rng: RandomStream) -> Wave:
    """Noise at a signal-to-noise ratio: white noise is added to the whole clip, in proportion to its mean power.

    Source: the additive noise of Ko et al. 2017, "A study on data augmentation of reverberant speech for robust speech
    recognition", https://doi.org/10.1109/ICASSP.2017.7953152; levels are 20, 15, 10, 5 and 0 dB, written as noise to
    signal in amplitude. The power is that of all samples, pauses included. Silence stays silent. The sum is rounded and
    cut at full scale.

    Takes 16-bit words: one per sample.
    """
    power = int(np.square(wave, dtype=np.int64).sum()) / len(wave)
    noise = rng.normal(len(wave)).astype(np.float64) * (share * np.sqrt(power))
    return audio.rounded(wave + noise)


@declare.audio_shift(_levels.Linear((6000.0, 4500.0, 3400.0, 2000.0, 1000.0), zero=WHOLE), title="Audio: band limit")
def audio_band_limit(wave: Wave, cut: float, rng: RandomStream) -> Wave:
    """Band limit: frequencies above a cut are removed, as by a telephone or a low rate of sampling.

    Source: the band limits of speech channels, ITU-T G.711 (0.3 to 3.4 kHz), https://www.itu.int/rec/T-REC-G.711, and
    below; levels are cuts of 6, 4.5, 3.4, 2 and 1 kHz. A low pass of 129 weights in whole numbers (a sinc under
    Blackman's window), without delay.

    Takes no random words.
    """
    wide = np.pad(wave.astype(np.int64), HALF)
    return audio.to_int16(np.convolve(wide, _weights(cut), mode="valid"))


@lru_cache(maxsize=16)
def _weights(cut: float) -> NDArray[np.int64]:
    """The weights of the low pass, int64 (129,), which add up to 2^15."""
    places = [float(k) for k in range(-HALF, HALF + 1)]
    return audio.integer_weights(places, cut / WHOLE, HALF, middle=HALF)
