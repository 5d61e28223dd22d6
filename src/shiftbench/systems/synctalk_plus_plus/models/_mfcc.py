"""Mel-frequency cepstral coefficients as SyncNet hears them.

Source: James Lyons' python_speech_features 0.6 (`mfcc` with its defaults), which joonson/syncnet_python calls:
windows of 25 ms every 10 ms without a taper, pre-emphasis 0.97, FFT of 512, 26 triangles from 0 to 8 kHz on the HTK
scale, orthonormal DCT-II, 13 coefficients, lifter 22, the first one replaced by the log of the energy. The last
window is filled with zeros.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from shiftbench.data.audio import RATE, Wave

Floats = NDArray[np.float64]
LENGTH, STEP, FFT = 400, 160, 512
TRIANGLES, KEPT, LIFTER = 26, 13, 22
TINY = float(np.finfo(np.float64).eps)


def mfcc(wave: Wave) -> Floats:
    """Return coefficients of audio int16 (n,), float64 (windows, 13)."""
    values = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1].astype(np.float64)).astype(np.float64)
    count = 1 + max(0, -(-(len(values) - LENGTH) // STEP))
    wide = np.pad(values, (0, max(0, (count - 1) * STEP + LENGTH - len(values))))
    parts = wide[STEP * np.arange(count)[:, None] + np.arange(LENGTH)]
    power = np.square(np.abs(np.fft.rfft(parts, FFT))) / FFT
    energy = np.maximum(power.sum(axis=1), TINY)
    bands = np.maximum(power @ _triangles().T, TINY)
    found = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :KEPT]
    found *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(KEPT) / LIFTER)
    found[:, 0] = np.log(energy)
    return np.asarray(found, np.float64)


@lru_cache(maxsize=1)
def _triangles() -> Floats:
    """Return the filters, float64 (26, 257): their corners are whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), TRIANGLES + 2)
    bins = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE).astype(int)
    found = np.zeros((TRIANGLES, FFT // 2 + 1))
    for row, (low, middle, high) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        found[row, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        found[row, middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return found
