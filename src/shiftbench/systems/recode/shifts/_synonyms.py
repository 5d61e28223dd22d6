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
    """WordNet.

    Raises:
        DataError: it is not here.
    """
    if _wordnet.SOURCE not in sources:
        raise DataError("synonyms need WordNet; `shiftbench fetch wordnet` brings it")
    return _wordnet.load(sources[_wordnet.SOURCE])


def synonyms(wordnet: _wordnet.WordNet, word: str, part: str) -> list[str]:
    """The first three synonyms of a word, each inflected as it is: those of its most frequent senses."""
    base, tag = _english.lemma(word, part), _english.tag(word, part)
    candidates = []
    for synonym in wordnet.synonyms(base, (_english.PARTS[part],)):
        form = _english.forms(synonym, part).get(tag, "") if tag else synonym
        if form and form != word.lower():
            candidates.append(_english.like(form, word))
    return list(dict.fromkeys(candidates))[:MOST]


def replaced(
    wordnet: _wordnet.WordNet, parts: list[str], free: list[bool], rng: RandomStream, share: float, form: str
) -> list[str]:
    """The parts of a line in which content words, with probability `share`, become `form` ({new}, {old})."""
    places = [index for index, is_word in enumerate(free) if is_word]
    kinds = _english.parts_of_speech([parts[index] for index in places])
    uniforms, choices = rng.uniform(len(places)), rng.uniform(len(places))
    words = list(parts)
    for index, kind, uniform, choice in zip(places, kinds, uniforms, choices, strict=True):
        options = synonyms(wordnet, parts[index], kind) if kind and uniform < share else []
        if options:
            words[index] = form.format(new=options[int(choice * len(options))], old=parts[index])
    return words
