"""Verbs in another tense, where they are a sentence's own: no infinitives or participles, none after an auxiliary."""

from collections.abc import Callable, Iterator

from shiftbench.base.rng import RandomStream
from shiftbench.systems.recode.shifts import _english

_BEFORE = frozenset(
    "to can could should must may might will would shall not do does did is are was were be been has have had".split()
)
_FINITE = ("VB", "VBP", "VBZ", "VBD")
_BE = {"is": "was", "are": "were", "has": "had", "have": "had", "does": "did", "do": "did"}


def past(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    """Return the parts of a line with finite verbs, and forms of be, have and do, in the past tense."""
    found = list(parts)
    for at, part in enumerate(parts):
        if free[at] and part.lower() in _BE:
            found[at] = _english.like(_BE[part.lower()], part)
    return _each(found, free, lambda word: _english.forms(_english.lemma(word, "VERB"), "VERB").get("VBD", word))


def future(parts: list[str], free: list[bool], rng: RandomStream) -> list[str]:
    """Return the parts of a line with `will` before finite verbs."""
    return _each(list(parts), free, lambda word: f"will {_english.lemma(word, 'VERB')}")


def _each(found: list[str], free: list[bool], change: Callable[[str], str]) -> list[str]:
    for at in _verbs(found, free):
        found[at] = _english.like(change(found[at].lower()), found[at])
    return found


def _verbs(parts: list[str], free: list[bool]) -> Iterator[int]:
    places = [at for at, one in enumerate(free) if one]
    kinds = _english.parts_of_speech([parts[at] for at in places])
    before = ""
    for at, kind in zip(places, kinds, strict=True):
        if kind == "VERB" and before not in _BEFORE and _english.tag(parts[at], "VERB") in _FINITE:
            yield at
        before = parts[at].lower()
