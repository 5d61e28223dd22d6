"""The sound as the models hear it: log-mel frames, and a window of 16 of them for each frame of the picture.

Source: ZiqiaoPeng/SyncTalk, nerf_triplane/utils.py (`melspectrogram`, `AudDataset`): 16 kHz, pre-emphasis 0.97, n_fft
= window = 800, hop 200, so 80 frames a second; 80 Slaney mel bands of 55 to 7600 Hz; 20 log10 of at least 1e-5, less
20 dB, mapped from -100 to 0 dB to -4 to 4. The window of frame k begins at int(80 k / 25), rounded down for each
frame; one that would end beyond the sound is moved back.
"""

from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.data import audio
from shiftbench.data.audio import Wave
from shiftbench.data.frames import FPS

Floats = NDArray[np.float32]
BANDS, WINDOW, A_SECOND = 80, 16, 80
FFT, HOP = 800, 200
LOW, HIGH = 55.0, 7600.0
EMPHASIS, QUIET = 0.97, 1e-5
Bands = Annotated[int, Field(ge=1, le=80, description="bands of the sound, means of groups of the 80")]
Normalise = Annotated[
    bool, Field(description="subtract each band's mean over the clip, and divide by the deviation of all")
]


def windows(wave: Wave, count: int, *, normalise: bool = False) -> Floats:
    """Log-mel windows of `count` frames, float32 (count, 16, 80).

    Args:
        wave: int16 (n,) at 16 kHz.
        count: frames of the picture.
        normalise: take each band's mean over the clip away, and divide by the standard deviation of all.
    """
    bands = log_mel(wave)
    if normalise:
        bands = bands - bands.mean(axis=0)
        bands = bands / (bands.std() + np.float32(0.1))
    if len(bands) < WINDOW:
        bands = np.pad(bands, ((0, WINDOW - len(bands)), (0, 0)), mode="edge")
    starts = np.minimum(A_SECOND * np.arange(count) // FPS, len(bands) - WINDOW)
    return bands[starts[:, None] + np.arange(WINDOW)]


def log_mel(wave: Wave) -> Floats:
    """Log-mel frames, float32 (1 + n // 200, 80), in -4 to 4."""
    values = wave.astype(np.float64) / (audio.FULL + 1)
    values[1:] -= EMPHASIS * values[:-1]
    wide = np.pad(values, FFT // 2)
    starts = HOP * np.arange(1 + len(wave) // HOP)
    parts = wide[starts[:, None] + np.arange(FFT)] * _hann()
    size = np.abs(np.fft.rfft(parts, axis=1)) @ _basis().T
    decibels = 20 * np.log10(np.maximum(size, QUIET)) - 20
    scaled: Floats = np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).astype(np.float32)
    return scaled


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float64]:
    return np.hanning(FFT + 1)[:-1]  # periodic


@lru_cache(maxsize=1)
def _basis() -> NDArray[np.float64]:
    """Slaney's triangles of equal area, float64 (80, 401)."""
    edges = _hertz(np.linspace(_mel(LOW), _mel(HIGH), BANDS + 2))
    bins = np.arange(FFT // 2 + 1) * audio.RATE / FFT
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    scaled: NDArray[np.float64] = triangles * (2 / (edges[2:] - edges[:-2]))[:, None]
    return scaled


def _mel(hertz: float) -> float:
    """Slaney's mel: linear below 1 kHz, logarithmic above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
