"""Speed: the clip is played faster, so that it is shorter and its pitch higher, as a tape.

Source: Ko et al. 2015, "Audio augmentation for speech recognition",
https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html, with factors of 0.9 and 1.1 there; levels are 1.1
to 1.5, rounded to thousandths. Changes the length: n samples become ceil(n / factor). What a sample has for each
frame (`targets`, `frames`) is taken at the same places of the speech, so that sound and frames still belong together.

Takes no random words.
"""

from fractions import Fraction

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import audio, frames
from shiftbench.plugins.shifts import _levels

TITLE = "Audio: speed"
FIELD = None
TASK = "audio_visual"
LEVELS = {1: 1.1, 2: 1.2, 3: 1.3, 4: 1.4, 5: 1.5}
RANGE = _levels.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A shorter clip."""
    (factor,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    if "audio" not in value.fields:
        raise DataError(f"{value.key}: no field 'audio', which {__name__} changes")
    if severity == 0:
        return value
    step = Fraction(round(1000 * factor), 1000)
    wave = value.fields["audio"]
    faster = audio.stretch(wave, step, -(-len(wave) * step.denominator // step.numerator))
    return frames.resample_clip(value.with_field("audio", faster), step)
