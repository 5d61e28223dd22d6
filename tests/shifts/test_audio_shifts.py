"""Shifts of sounds: what each does to a signal, measured by means that are not ours, and what holds for all."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.evaluation.corruption import corrupt

NAMES = ("audio_noise", "audio_gain", "audio_band_limit", "audio_reverb", "audio_pitch")
RATE = 16000


def tone(hertz: float, seconds: float = 1.0, size: float = 9000) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return np.rint(size * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def level(wave: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(wave.astype(float)))))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    values=st.lists(st.integers(-32768, 32767), min_size=1, max_size=900),
    severity=st.floats(0, 5),
    key=st.text(max_size=4),
)
def test_sound_in_sound_out(name: str, values: list[int], severity: float, key: str) -> None:
    wave = np.array(values, dtype=np.int16)
    before = wave.copy()
    wave.flags.writeable = False
    shifted = corrupt(wave, name, severity, key=key)
    assert (shifted.dtype, shifted.shape) == (wave.dtype, wave.shape)
    assert not np.shares_memory(shifted, wave)
    assert np.array_equal(wave, before)
    assert np.array_equal(shifted, corrupt(wave, name, severity, key=key))
    assert np.array_equal(corrupt(wave, name, 0.0, key=key), wave)


@pytest.mark.parametrize("name", NAMES)
def test_silence_stays_silent(name: str) -> None:
    assert not corrupt(np.zeros(4000, np.int16), name, 5.0).any()


@pytest.mark.parametrize(("severity", "wanted"), [(1, 20), (2, 15), (3, 10), (4, 5), (5, 0)])
def test_noise_has_its_ratio(severity: float, wanted: float) -> None:
    clean = tone(500, 4)
    noise = corrupt(clean, "audio_noise", severity).astype(float) - clean
    assert level(clean) - level(noise) == pytest.approx(wanted, abs=0.1)
    spectrum = signal.welch(noise, RATE)[1][1:-1]
    assert spectrum.max() / spectrum.min() < 3  # white


@pytest.mark.parametrize(("severity", "wanted"), [(1, 6), (3, 18), (5, 30)])
def test_gain_has_its_decibels(severity: float, wanted: float) -> None:
    clean = tone(500)
    assert level(clean) - level(corrupt(clean, "audio_gain", severity)) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(("severity", "cut"), [(1, 6000), (3, 3400), (5, 1000)])
def test_band_limit_is_a_low_pass(severity: float, cut: float) -> None:
    impulse = np.zeros(RATE, np.int16)
    impulse[8000] = 32767
    response = corrupt(impulse, "audio_band_limit", severity).astype(float) / 32767
    assert np.argmax(response) == 8000  # without delay
    frequencies, gains = signal.freqz(response[7900:8101], worN=4096, fs=RATE)
    found = 20 * np.log10(np.abs(gains) + 1e-9)
    assert found[frequencies < cut - 350] == pytest.approx(0, abs=0.1)
    assert found[frequencies > cut + 350].max() < -55
    assert found[np.argmin(np.abs(frequencies - cut))] == pytest.approx(-6, abs=0.3)


@pytest.mark.parametrize(("severity", "seconds"), [(1, 0.2), (3, 0.6), (5, 1.0)])
def test_room_dies_away_in_its_time(severity: float, seconds: float) -> None:
    impulse = np.zeros(2 * RATE, np.int16)
    impulse[0] = 32000
    response = corrupt(impulse, "audio_reverb", severity).astype(float)
    assert response[0] == pytest.approx(32000 * (1 - {1: 0.15, 3: 0.35, 5: 0.6}[severity]), rel=0.15)
    left = np.cumsum(np.square(response[RATE // 20 :])[::-1])[::-1]  # Schroeder 1965
    decay = 10 * np.log10(left / left[0] + 1e-12)
    fall = np.flatnonzero(decay < -20)[0] - np.flatnonzero(decay < -5)[0]
    assert 4 * fall / RATE == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize(("down", "sign"), [(False, 1), (True, -1)])
def test_pitch_moves_and_time_stays(down: bool, sign: int) -> None:
    clean = tone(500, 2)
    clean[RATE // 2 : RATE] = 0
    for severity, semitones in ((1, 2), (5, 10)):
        shifted = corrupt(clean, "audio_pitch", severity, down=down)
        size = np.abs(np.fft.rfft(shifted[RATE:] * np.hanning(RATE)))
        found = np.argmax(np.convolve(np.square(size), np.ones(9), "same"))  # fading makes it a cluster
        assert found == pytest.approx(500 * 2 ** (sign * semitones / 12), rel=0.06)
        assert not shifted[RATE // 2 + 600 : RATE - 600].any()  # the pause is where it was
        assert level(shifted[RATE:]) == pytest.approx(level(clean[RATE:]), abs=3)


def test_speed_takes_frames_along() -> None:
    values = np.arange(50)[:, None] * 20
    targets = frames.pack_targets(("openness",), values)
    whole = Sample("a/b/c", {"audio": tone(400, 2), "targets": targets})
    faster = corrupt(whole, "audio_speed", 5.0)
    wave = faster.fields["audio"]
    assert len(wave) == 21334  # 32,000 / 1.5
    assert np.argmax(np.abs(np.fft.rfft(wave))) * RATE / len(wave) == pytest.approx(600, abs=1)
    assert frames.count(faster) == 34
    assert [row[0] for row in faster.fields["targets"]["values"]][:4] == [0, 30, 60, 90]
    frames.check(faster)
    assert corrupt(whole, "audio_speed", 0.0) == whole


def test_other_values_are_refused() -> None:
    for name in (*NAMES, "audio_speed"):
        module: Any = registry.find("shifts", name)
        assert "https://" in (module.__doc__ or "")
        with pytest.raises(DataError, match="no field 'audio'"):
            corrupt(Sample("a/b/c", {"text": "so"}), name)
    with pytest.raises(DataError, match="audio is an int16 array"):
        corrupt(np.zeros((4, 4), np.uint8), "audio_noise")
    with pytest.raises(DataError, match="audio is an int16 array"):
        corrupt("so", "audio_noise")
