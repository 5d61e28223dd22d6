"""Synonyms of a word in its sentence, in its own form; helper of the perturbations that use WordNet."""

from collections.abc import Mapping
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _wordnet
from shiftbench.systems.recode.shifts import _english

SOURCES = (_wordnet.SOURCE,)
MOST = 3


def database(sources: Mapping[str, Path]) -> _wordnet.WordNet:
    """Return WordNet.

    Raises:
        DataError: it is not here.
    """
    if _wordnet.SOURCE not in sources:
        raise DataError("synonyms need WordNet; `shiftbench fetch wordnet` brings it")
    return _wordnet.load(sources[_wordnet.SOURCE])


def synonyms(known: _wordnet.WordNet, word: str, part: str) -> list[str]:
    """Return the first three synonyms of a word, each inflected as it is: those of its most frequent senses."""
    base, tag = _english.lemma(word, part), _english.tag(word, part)
    found = []
    for other in known.synonyms(base, (_english.PARTS[part],)):
        form = _english.forms(other, part).get(tag, "") if tag else other
        if form and form != word.lower():
            found.append(_english.like(form, word))
    return list(dict.fromkeys(found))[:MOST]


def replaced(
    known: _wordnet.WordNet, parts: list[str], free: list[bool], rng: RandomStream, share: float, form: str
) -> list[str]:
    """Return the parts of a line in which content words, with probability `share`, become `form` ({new}, {old})."""
    places = [at for at, one in enumerate(free) if one]
    kinds = _english.parts_of_speech([parts[at] for at in places])
    draws, which = rng.uniform(len(places)), rng.uniform(len(places))
    found = list(parts)
    for at, kind, draw, choice in zip(places, kinds, draws, which, strict=True):
        others = synonyms(known, parts[at], kind) if kind and draw < share else []
        if others:
            found[at] = form.format(new=others[int(choice * len(others))], old=parts[at])
    return found
