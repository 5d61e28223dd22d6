"""Audio: what is read of the user's files, what shards hold, and the resampler beside scipy's."""

import io
import wave as riff
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from scipy.io import wavfile

from shiftbench.base.errors import DataError
from shiftbench.data import audio, codecs

TIME = np.arange(8000) / 16000
TONE = np.rint(12000 * np.sin(2 * np.pi * 440 * TIME)).astype(np.int16)


def pcm(values: bytes, bits: int, rate: int = 16000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with riff.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(values)
    return buffer.getvalue()


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_what_is_written_is_read(values: list[int]) -> None:
    wave = np.array(values, dtype=np.int16)
    data = codecs.encode("wav", wave)
    assert len(data) == 44 + 2 * len(values)
    again = codecs.decode("wav", data)
    assert again.dtype == np.int16
    assert np.array_equal(again, wave)
    rate, theirs = wavfile.read(io.BytesIO(data))
    assert rate == 16000
    assert np.array_equal(theirs, wave)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a", "audio is an int16 array .n,.; got str"),
        (np.zeros((4, 2), np.int16), r"got int16 \(4, 2\); `shiftbench.data.audio.read`"),
        (np.zeros(4, np.float32), r"got float32 \(4,\)"),
        (np.zeros(0, np.int16), r"not empty.*got int16 \(0,\)"),
    ],
)
def test_what_is_no_audio_is_refused(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        codecs.encode("wav", value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF", "damaged WAV of 4 bytes"),
        (b"", "damaged WAV of 0 bytes"),
        (pcm(bytes(8), 16)[:-2], "truncated WAV: it states 4 samples and holds 3"),
        (pcm(bytes(12), 24), "1 channel of 16 bits at 16000 Hz; this one has 1 of 24 at 16000 Hz"),
        (pcm(bytes(8), 16, 44100), "this one has 1 of 16 at 44100 Hz; .*audio.read. converts it"),
        (pcm(bytes(8), 16, 16000, 2), "this one has 2 of 16"),
    ],
)
def test_other_members_of_a_tar_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        codecs.decode("wav", data)


def test_files_of_other_kinds_are_converted(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    wavfile.write(file, 16000, TONE)
    assert np.array_equal(audio.read(file), TONE)
    wavfile.write(file, 16000, np.stack([TONE, TONE // 3], axis=1))  # stereo: the mean
    assert np.array_equal(audio.read(file), np.rint((TONE + (TONE // 3).astype(float)) / 2))
    wavfile.write(file, 16000, (TONE / 32767).astype(np.float32))
    assert np.array_equal(audio.read(file), TONE)
    wavfile.write(file, 16000, np.array([2.0, -2.0]))  # beyond full scale: cut
    assert audio.read(file).tolist() == [32767, -32768]
    wavfile.write(file, 16000, np.array([0, 128, 255], np.uint8))
    assert audio.read(file).tolist() == [-32768, 0, 32512]
    deep = (TONE.astype(np.int32) * 256 + 100).astype("<i4").tobytes()  # 24 bits, a little more
    packed = b"".join(deep[at : at + 3] for at in range(0, len(deep), 4))
    file.write_bytes(pcm(packed, 24))
    assert np.array_equal(audio.read(file), TONE)


def test_bad_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    with pytest.raises(DataError, match=r"a\.wav cannot be read as a WAV: .*No such file"):
        audio.read(file)
    file.write_bytes(b"OggS" + bytes(40))
    with pytest.raises(DataError, match=r"a\.wav cannot be read as a WAV"):
        audio.read(file)
    file.write_bytes(pcm(b"", 16))
    with pytest.raises(DataError, match=r"a\.wav holds no sample"):
        audio.read(file)
    wavfile.write(file, 16000, np.array([0.0, np.nan]))
    with pytest.raises(DataError, match=r"a\.wav: a sample is no finite number"):
        audio.read(file)
    file.write_bytes(pcm(bytes(8), 16, 10))
    with pytest.raises(DataError, match=r"states 10 Hz; expected 1000 to 400000"):
        audio.read(file)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_agrees_with_scipy(rate: int) -> None:
    noise = np.random.default_rng(0).normal(0, 4000, rate)
    smooth = signal.sosfilt(signal.butter(8, 3000, fs=rate, output="sos"), noise)
    value = np.rint(smooth).astype(np.int16)
    found = audio.resample(value, rate, 16000)
    share = Fraction(16000, rate)
    window = ("kaiser", 12.0)
    theirs = signal.resample_poly(value.astype(float), share.numerator, share.denominator, window=window)
    assert len(found) == len(theirs) == 16000
    inner = slice(400, -400)
    error = found[inner] - theirs[inner]
    assert 10 * np.log10(np.mean(theirs[inner] ** 2) / np.mean(error**2)) > 45


def test_resampling_by_hand() -> None:
    assert np.array_equal(audio.resample(TONE, 16000, 16000), TONE)
    flat = np.full(4000, 1234, np.int16)
    for rate in (8000, 22050, 44100):  # what is constant stays so, off the ends
        assert set(audio.resample(flat, rate, 16000)[200:-200].tolist()) == {1234}
    assert len(audio.resample(flat[:1], 44100, 16000)) == 1
    whole = audio.resample(TONE, 16000, 32000)
    assert len(whole) == 2 * len(TONE)
    assert np.abs(whole[::2].astype(int) - TONE).max() <= 1  # its own samples are among them


def test_no_weight_lies_where_rounding_turns() -> None:
    """So that an error of 1e-15 in `sin`, as C libraries differ, changes no weight."""
    for step in (Fraction(1), Fraction(441, 320), Fraction(441, 160), Fraction(3), Fraction(11, 10)):
        cut, half = float(1 / step), -(-16 * step.numerator // step.denominator)
        for phase in range(512):
            places = [k - phase / 512 for k in range(1 - half, half + 1)]
            values = np.array([audio._sinc(cut * x) * audio._blackman(x / half) for x in places])
            parts = values / sum(values.tolist()) * 32768 % 1
            assert np.abs(parts - 0.5).min() > 1e-10
