"""Docstring, EnglishInflectionalVariation: every content word in a random form of its part of speech.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, and NL-Augmenter's
`english_inflectional_variation` (Tan et al. 2020, ACL), by lemminflect; a word may stay as it is. Differs: parts of
speech by the rules of `_english`, there by a tagger. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _docstrings, _english

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Sample, severity: float, words: Words) -> Sample:
    """Return a prompt with another docstring.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _docstrings.tokens(__name__, value, severity, words, _inflected)


def _inflected(parts: list[str], free: list[bool], words: Words) -> list[str]:
    places = [at for at, one in enumerate(free) if one]
    kinds = _english.parts_of_speech([parts[at] for at in places])
    draws = words.uniform(len(places))
    found = list(parts)
    for at, kind, draw in zip(places, kinds, draws, strict=True):
        if kind:
            found[at] = _form(parts[at], kind, float(draw))
    return found


def _form(word: str, kind: str, draw: float) -> str:
    forms = list(dict.fromkeys(_english.forms(_english.lemma(word, kind), kind).values()))
    return _english.like(forms[int(draw * len(forms))], word) if forms else word
