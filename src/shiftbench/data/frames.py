"""Frames of a clip: 25 a second, each with 640 samples of audio.

`targets` is a dict: `names` of the quantities (such as `openness`), and `values`, for each frame a list of whole
numbers, thousandths of the range, 0 to 1000. `frames` are the pictures, uint8 (t h, w) or (t h, w, 3), one below the
other; `meta.frames` is t, a decimal as text, where there are no targets to count. The first frame begins with the
first sample. Audio beyond the last frame is ignored; audio that ends more than a frame too early is refused.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.data import audio

FPS = 25
SAMPLES = audio.RATE // FPS
UNIT = 1000
"""A target's whole range, in its whole numbers."""


def pack_targets(names: tuple[str, ...], values: NDArray[np.int64]) -> dict[str, Any]:
    """The field `targets` with values int64 (t, d) in 0 to 1000."""
    return {"names": list(names), "values": values.tolist()}


def targets(sample: Sample) -> NDArray[np.float64]:
    """Targets of a clip as float64 (t, d) in 0 to 1."""
    values = np.array(sample.fields["targets"]["values"], dtype=np.float64)
    shares: NDArray[np.float64] = values.reshape(len(values), -1) / UNIT
    return shares


def names(sample: Sample) -> list[str]:
    """Names of a clip's targets."""
    return list(sample.fields["targets"]["names"])


def count(sample: Sample) -> int:
    """Number of frames of a clip: those of its targets or pictures, else as many as its audio begins.

    Raises:
        DataError: `meta.frames` is no whole number of 1 at least.
    """
    if "targets" in sample.fields:
        return len(sample.fields["targets"]["values"])
    if "frames" in sample.fields:
        text = str((sample.fields.get("meta") or {}).get("frames"))
        if not text.isdecimal() or int(text) < 1:
            raise DataError(f"{sample.key}: meta.frames is {text!r}; expected the number of frames")
        return int(text)
    return -(-len(sample.fields["audio"]) // SAMPLES)


def pictures(sample: Sample) -> NDArray[np.uint8]:
    """Pictures of a clip, uint8 (t, h, w) or (t, h, w, 3)."""
    strip, t = sample.fields["frames"], count(sample)
    return strip.reshape(t, -1, *strip.shape[1:])  # type: ignore[no-any-return]


def check(sample: Sample) -> None:
    """Refuse a clip whose parts do not belong together.

    Raises:
        DataError: targets of another form, pictures that are no whole number of frames, or audio that ends before them.
        RangeError: a target outside 0 to 1000.
    """
    audio.check_audio(sample.fields["audio"])
    if "targets" in sample.fields:
        _check_targets(sample.key, sample.fields["targets"])
    t, samples = count(sample), len(sample.fields["audio"])
    if "frames" in sample.fields and len(sample.fields["frames"]) % t:
        raise DataError(
            f"{sample.key}: a strip of {len(sample.fields['frames'])} rows is not {t} frames of equal height"
        )
    if samples <= (t - 1) * SAMPLES:
        raise DataError(
            f"{sample.key}: the audio has {samples} samples and ends before the last of {t} frames, which begins at "
            f"{(t - 1) * SAMPLES}; cut the frames, or bring the whole audio"
        )


def _check_targets(key: str, poses: Any) -> None:
    is_complete = isinstance(poses, dict) and set(poses) == {"names", "values"}
    if not is_complete or not poses["values"] or not poses["names"]:
        raise DataError(f"{key}: targets are a dict of `names` and `values`, one list for each frame")
    width = len(poses["names"])
    for frame, row in enumerate(poses["values"]):
        if len(row) != width or not all(type(value) is int for value in row):
            raise DataError(f"{key}: frame {frame} has the targets {row}; expected {width} whole numbers")
        if min(row) < 0 or max(row) > UNIT:
            raise RangeError(f"{key}: frame {frame} has the targets {row}; expected 0 to {UNIT}")


def resample_clip(sample: Sample, step: Fraction) -> Sample:
    """A clip with one frame at every `step` of its own: targets are interpolated, pictures the nearest.

    Its audio is not touched.
    """
    t = count(sample)
    new_count = -(-t * step.denominator // step.numerator)
    place = np.arange(new_count, dtype=np.int64) * step.numerator
    before, part = np.minimum(place // step.denominator, t - 1), place % step.denominator
    after = np.minimum(before + 1, t - 1)
    if "frames" in sample.fields:
        nearest = np.where(2 * part < step.denominator, before, after)
        strip = pictures(sample)[nearest]
        new_strip = np.ascontiguousarray(strip.reshape(-1, *strip.shape[2:]))
        meta = {**(sample.fields.get("meta") or {}), "frames": str(new_count)}
        sample = sample.with_field("frames", new_strip).with_field("meta", meta)
    if "targets" in sample.fields:
        old_values = np.array(sample.fields["targets"]["values"], dtype=np.int64)
        total = old_values[before] * (step.denominator - part)[:, None] + old_values[after] * part[:, None]
        values = (2 * total + step.denominator) // (2 * step.denominator)
        sample = sample.with_field("targets", pack_targets(tuple(names(sample)), values))
    return sample
