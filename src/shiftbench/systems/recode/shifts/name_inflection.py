"""Name, InflectionalVariation: its content words in a random form of their part of speech.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.2; replacement
of names as in `_names`. The severity is a seed.
"""

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _english, _names

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A prompt whose function has another name.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _names.renamed(__name__, value, severity, rng, _inflected)


def _inflected(parts: list[str], rng: RandomStream) -> list[str]:
    kinds, uniforms = _english.parts_of_speech(parts), rng.uniform(len(parts))
    words = list(parts)
    for index, (part, kind, uniform) in enumerate(zip(parts, kinds, uniforms, strict=True)):
        inflections = _english.forms(_english.lemma(part, kind), kind) if kind else {}
        forms = [form for form in dict.fromkeys(inflections.values()) if form.isalpha()]
        if forms:
            words[index] = _english.like(forms[int(float(uniform) * len(forms))], part)
    return words
