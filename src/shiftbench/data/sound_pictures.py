"""Pictures of sounds (waveform and spectrogram), and excerpts as WAV for a page's player."""

import base64
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shiftbench.data import audio
from shiftbench.data.audio import Wave

Pixels = NDArray[np.uint8]
EXCERPT = 1.2  # seconds of a page's player
WINDOW, FLOOR = 512, -70.0  # samples; dB below full scale that are drawn black
_INK, _PAPER = 40, 250


def excerpt(value: Wave) -> str:
    """Beginning of audio as a WAV in base64, at most 1.2 seconds, since a page has many."""
    return base64.b64encode(audio.encode(value[: int(EXCERPT * audio.RATE)])).decode()


def waveform(value: Wave, width: int, height: int) -> Pixels:
    """Draw audio: in each column the range of its samples, full scale from edge to edge; uint8 (height, width)."""
    picture = np.full((height, width), _PAPER, np.uint8)
    edges = np.linspace(0, len(value), width + 1).astype(int)
    for column, (start, end) in enumerate(pairwise(edges)):
        part = value[start : max(end, start + 1)].astype(np.int64)
        if len(part):
            high, low = ((audio.FULL - int(v)) * (height - 1) // (2 * audio.FULL + 1) for v in (part.max(), part.min()))
            picture[high : low + 1, column] = _INK
    return picture


def spectrogram(value: Wave, width: int, height: int) -> Pixels:
    """Draw loudness (dB, louder is brighter) over time and frequency, 0 to 8 kHz upwards; uint8 (height, width)."""
    starts = np.linspace(0, max(len(value) - WINDOW, 0), width).astype(int)
    padded = np.pad(value.astype(np.float64), (0, WINDOW)) / (audio.FULL + 1)
    parts = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(parts, axis=1)) / (WINDOW / 4)
    bands = np.array_split(power[:, 1:], height, axis=1)
    loudness = 20 * np.log10(np.stack([band.max(axis=1) for band in bands]) + 1e-9)
    brightness = np.clip((loudness - FLOOR) / -FLOOR, 0, 1)
    return (255 * brightness[::-1]).round().astype(np.uint8)


def picture(value: Wave, width: int = 128, height: int = 64) -> Pixels:
    """Draw the waveform above the spectrogram; uint8 (2 height, width)."""
    return np.concatenate([waveform(value, width, height), spectrogram(value, width, height)])
