"""A perturbation of docstrings without a `share`: inflection, tense or white space; `_docstrings` finds their prose.

A tense changes only a sentence's own verbs: no infinitives, no participles, no verb after an auxiliary.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.1, and NL-Augmenter. The severity is a
seed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.recode.shifts import _code, _docstrings, _english, _letters

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
_BEFORE_OTHER_FORMS = frozenset(
    "to can could should must may might will would shall not do does did is are was were be been has have had".split()
)
_FINITE = ("VB", "VBP", "VBZ", "VBD")
_BE = {"is": "was", "are": "were", "has": "had", "have": "had", "does": "did", "do": "did"}


class Options(declare.Options):
    change: Literal["", "inflection", "tense_future", "tense_past", "whitespace"] = Field(
        "", description="change of the docstring"
    )


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Name of the change."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """A prompt with another docstring."""
    name = f"docstring_{change}"
    if change == "whitespace":
        return _docstrings.whole_text(name, value, severity, rng, _letters.spaced)
    return _docstrings.tokens(name, value, severity, rng, TOKENS[change])


def _inflected(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    places = [index for index, is_word in enumerate(free) if is_word]
    kinds = _english.parts_of_speech([parts[index] for index in places])
    uniforms = rng.uniform(len(places))
    words = list(parts)
    for index, kind, draw in zip(places, kinds, uniforms, strict=True):
        if kind:
            words[index] = _form(parts[index], kind, float(draw))
    return words


def _form(word: str, kind: str, draw: float) -> str:
    forms = list(dict.fromkeys(_english.forms(_english.lemma(word, kind), kind).values()))
    return _english.like(forms[int(draw * len(forms))], word) if forms else word


def _past(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    """Parts of a line with finite verbs, and forms of be, have and do, in the past tense."""
    words = list(parts)
    for index, part in enumerate(parts):
        if free[index] and part.lower() in _BE:
            words[index] = _english.like(_BE[part.lower()], part)
    return _with_verbs(words, free, lambda word: _english.forms(_english.lemma(word, "VERB"), "VERB").get("VBD", word))


def _future(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    """Parts of a line with `will` before finite verbs."""
    return _with_verbs(list(parts), free, lambda word: f"will {_english.lemma(word, 'VERB')}")


def _with_verbs(words: list[str], free: list[bool], change: Callable[[str], str]) -> list[str]:
    for index in _verbs(words, free):
        words[index] = _english.like(change(words[index].lower()), words[index])
    return words


def _verbs(parts: list[str], free: list[bool]) -> Iterator[int]:
    places = [index for index, is_word in enumerate(free) if is_word]
    kinds = _english.parts_of_speech([parts[index] for index in places])
    previous = ""
    for index, kind in zip(places, kinds, strict=True):
        if kind == "VERB" and previous not in _BEFORE_OTHER_FORMS and _english.tag(parts[index], "VERB") in _FINITE:
            yield index
        previous = parts[index].lower()


TOKENS: dict[str, _docstrings.Tokens] = {"inflection": _inflected, "tense_future": _future, "tense_past": _past}
