"""A perturbation of docstrings that has no share of its own; what in them is prose says `_docstrings`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.1, and NL-Augmenter. The severity is a
seed.
"""

from collections.abc import Mapping

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _docstrings, _english, _letters, _tenses

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {"change": ""}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return which change it is."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """Return a prompt with another docstring.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    name = f"docstring_{change}"
    if change == "whitespace":
        return _docstrings.whole(name, value, severity, rng, _letters.spaced)
    return _docstrings.tokens(name, value, severity, rng, TOKENS[change])


def _inflected(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    places = [at for at, one in enumerate(free) if one]
    kinds = _english.parts_of_speech([parts[at] for at in places])
    draws = rng.uniform(len(places))
    found = list(parts)
    for at, kind, draw in zip(places, kinds, draws, strict=True):
        if kind:
            found[at] = _form(parts[at], kind, float(draw))
    return found


def _form(word: str, kind: str, draw: float) -> str:
    forms = list(dict.fromkeys(_english.forms(_english.lemma(word, kind), kind).values()))
    return _english.like(forms[int(draw * len(forms))], word) if forms else word


TOKENS: dict[str, _docstrings.Tokens] = {
    "inflection": _inflected,
    "tense_future": _tenses.future,
    "tense_past": _tenses.past,
}
