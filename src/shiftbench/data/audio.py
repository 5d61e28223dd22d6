"""Audio: one channel of int16 samples, 16,000 a second; the user's files are converted when they are read.

`read` takes WAV files of any rate, of 8, 16, 24 or 32 bits or floats, of one channel or several: channels are averaged,
other widths are rounded to 16 bits, floats are cut at full scale (1.0), and other rates go through `resample`.

Resampling is in whole numbers, so that its bytes are the same on every CPU: each output sample is a weighted sum of its
neighbours, with weights from a table of a windowed sinc that stands at 1/512 of a sample.

Source: Smith and Gossett, "A flexible sampling-rate conversion method", ICASSP 1984; the window is Blackman's. Differs:
the table is not interpolated, whose error is below that of 16 bits times the slope of the signal.
"""

import io
import math
import warnings
import wave as riff
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import DataError

RATE = 16_000
"""Samples a second, everywhere but in the user's files."""
FULL = 32_767
PHASES = 512
ZEROS = 16  # crossings of the sinc on each side
BITS = 15
LOWEST, HIGHEST = 1_000, 400_000

Wave = NDArray[np.int16]


def check_audio(value: object) -> Wave:
    """`value` if it is audio: int16 (n,), not empty.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, np.ndarray):
        raise DataError(f"audio is an int16 array (n,); got {type(value).__name__}")
    if value.dtype != np.int16 or value.ndim != 1 or not value.size:
        raise DataError(
            f"audio is an int16 array (n,), not empty, {RATE} samples a second; got {value.dtype} {value.shape}; "
            "`shiftbench.data.audio.read` converts files of other rates, widths and channels"
        )
    return value


def seconds(value: Wave) -> float:
    """Duration of audio."""
    return len(value) / RATE


# --- bytes of a tar's member ----------------------------------------------------------------------


def encode(value: object) -> bytes:
    """Audio as a WAV file: a header of 44 bytes, and the samples.

    Raises:
        DataError: it is no audio.
    """
    samples = check_audio(value)
    buffer = io.BytesIO()
    with riff.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())
    return buffer.getvalue()


def decode(data: bytes) -> Wave:
    """Samples of a WAV file of shards: one channel, 16 bits, 16,000 Hz.

    Raises:
        DataError: damaged or truncated, or another kind of WAV.
    """
    try:
        with riff.open(io.BytesIO(data), "rb") as file:
            kind = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            count = file.getnframes()
            body = file.readframes(count)
    except (riff.Error, EOFError, ValueError) as error:
        raise DataError(f"damaged WAV of {len(data)} bytes: {error}") from error
    if kind != (1, 16, RATE):
        channels, bits, rate = kind
        raise DataError(
            f"a WAV in shards has 1 channel of 16 bits at {RATE} Hz; this one has {channels} of {bits} at {rate} Hz; "
            "`shiftbench.data.audio.read` converts it"
        )
    if len(body) != 2 * count:
        raise DataError(f"truncated WAV: it states {count} samples and holds {len(body) // 2} of them")
    return check_audio(np.frombuffer(body, dtype="<i2").astype(np.int16))


# --- the user's files -----------------------------------------------------------------------------


def read(file: Path) -> Wave:
    """Read a WAV file of the user as int16 (n,) at 16,000 Hz.

    Raises:
        DataError: no such file, no WAV, no sample, or a sample that is no number; names the file.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks without samples
            rate, values = wavfile.read(file)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} cannot be read as a WAV: {error}") from error
    if not values.size:
        raise DataError(f"{file} holds no sample")
    if not LOWEST <= rate <= HIGHEST:
        raise DataError(f"{file} states {rate} Hz; expected {LOWEST} to {HIGHEST}")
    try:
        return convert(values, rate)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def convert(values: NDArray[np.generic], rate: int) -> Wave:
    """Samples of any width, rate and number of channels as int16 (n,) at 16,000 Hz.

    Args:
        values: (n,) or (n, channels); uint8 about 128, int16, int32 (24 bits in the upper ones), or floats in -1 to 1.
        rate: their samples a second.

    Raises:
        DataError: another type, or a float that is no number.
    """
    mono = values.astype(np.float64) if values.ndim == 1 else values.astype(np.float64).mean(axis=1)
    if not np.isfinite(mono).all():
        raise DataError("a sample is no finite number")
    kinds = {"uint8": (128.0, 256.0), "int16": (0.0, 1.0), "int32": (0.0, 1 / 65_536)}
    if values.dtype.kind == "f":
        mono = mono * FULL
    elif values.dtype.name in kinds:
        middle, scale = kinds[values.dtype.name]
        mono = (mono - middle) * scale
    else:
        raise DataError(f"samples are uint8, int16, int32 or floats; got {values.dtype}")
    return resample(rounded(mono), rate, RATE)


def rounded(values: NDArray[np.float64]) -> Wave:
    """Numbers as int16, rounded and cut at full scale."""
    return np.clip(np.rint(values), -FULL - 1, FULL).astype(np.int16)


# --- another rate ---------------------------------------------------------------------------------


def resample(value: Wave, rate: int, new_rate: int) -> Wave:
    """Audio of `rate` samples a second at `new_rate`: ceil(n new_rate / rate) samples, the first in its place.

    Higher frequencies than half the lower rate are removed. Beyond both ends there is silence.
    """
    step = Fraction(rate, new_rate)
    if step == 1:
        return value.copy()
    count = -(-len(value) * new_rate // rate)
    return stretch(value, step, count)


def stretch(value: Wave, step: Fraction, count: int) -> Wave:
    """`count` samples of audio, one at every `step` of its own samples; int16 (count,)."""
    table = _table(max(step, Fraction(1)))
    half = table.shape[1] // 2
    padded = np.concatenate([np.zeros(half, np.int64), value, np.zeros(half + 1, np.int64)])
    samples = np.empty(count, dtype=np.int16)
    return _weigh(padded, table, step.numerator, step.denominator, len(value), samples)


@compiled
def _weigh(
    padded: NDArray[np.int64], table: NDArray[np.int64], numerator: int, denominator: int, last: int, out: Wave
) -> Wave:
    """Fill each sample; its place, in 1/512 of an input sample, selects the input samples and their weights."""
    for n in range(len(out)):
        place = (n * 1024 * numerator + denominator) // (2 * denominator)
        first = min(place // 512, last) + 1
        total = 0
        for k in range(table.shape[1]):
            total += padded[first + k] * table[place % 512, k]
        out[n] = min(max((total + 16384) >> 15, -32768), 32767)
    return out


def to_int16(total: NDArray[np.int64]) -> Wave:
    """Sums of samples times weights of 15 bits as int16, rounded and cut at full scale."""
    quotients = (total + (1 << (BITS - 1))) >> BITS
    samples: Wave = np.clip(quotients, -FULL - 1, FULL).astype(np.int16)
    return samples


@lru_cache(maxsize=32)
def _table(step: Fraction) -> NDArray[np.int64]:
    """Weights int64 (PHASES, 2 half): of the samples around one that lies p / PHASES behind the middle one.

    Each row adds up to 2^15, so that a constant stays constant.
    """
    cut = float(1 / step)
    half = math.ceil(ZEROS / cut)
    offsets = np.arange(1 - half, half + 1)
    rows = [
        integer_weights([float(k) - p / PHASES for k in offsets], cut, half, middle=half - 1) for p in range(PHASES)
    ]
    return np.stack(rows)


def integer_weights(places: list[float], cut: float, half: float, middle: int) -> NDArray[np.int64]:
    """Weights of a low pass in whole numbers that add up to 2^15, the rest of rounding at `middle`.

    `sin` and `cos` of the C library are good to 1e-15 and the weights are rounded to 3e-5: they are the same
    on every machine unless one lies that near to where rounding turns.

    Args:
        places: distances to the middle, in samples.
        cut: the highest frequency that passes, as a share of half the rate.
        half: where the window ends.
        middle: index of the weight that takes the rest of rounding.
    """
    values = [_sinc(cut * x) * _blackman(x / half) for x in places]
    total = sum(values)
    weights = np.array([round(value / total * (1 << BITS)) for value in values], dtype=np.int64)
    weights[middle] += (1 << BITS) - weights.sum()
    return weights


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def _blackman(x: float) -> float:
    """Blackman's window at x in -1 to 1; 0 outside."""
    if abs(x) >= 1:
        return 0.0
    return 0.42 + 0.5 * math.cos(math.pi * x) + 0.08 * math.cos(2 * math.pi * x)
