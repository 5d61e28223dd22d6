"""Rare words in prompts: nouns, colours and sizes become their least frequent synonyms of WordNet.

Of a word's synonyms that are single words the last is taken: WordNet lists senses, and words of a sense, the frequent
ones first. Levels are the share of the words with such a synonym that change. A plural gets the synonym's plural. A
stronger severity keeps the changes of a weaker one.

Source: the style `Paraphrase_` (rare linguistic structures) of MMDT, arXiv 2503.14827, whose prompts are on the hub
and were written by a language model; ours changes words alone, no structure. Takes one 16-bit word, then one raw word
per word that could change.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts, _wordnet
from shiftbench.systems.mmdt.datasets import _words

FIELD = "text"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
SOURCES = (_wordnet.SOURCE,)
ADJECTIVES = (*_words.COLOURS, "large", "small")


def apply(value: str, severity: float, rng: RandomStream, *, sources: Mapping[str, Path]) -> str:
    """A prompt with rare words.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: WordNet is not here.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if not severity:
        return value
    if _wordnet.SOURCE not in sources:
        raise DataError("rare words need WordNet; `shiftbench fetch wordnet` brings it")
    wordnet = _wordnet.load(sources[_wordnet.SOURCE])
    parts = re.split(r"(\w+)", value)
    rare = {at: _rare(wordnet, parts[at]) for at in range(1, len(parts), 2)}
    places = [at for at, word in rare.items() if word]
    for one in _texts.touched(share, len(places), rng):
        parts[places[one]] = rare[places[one]]
    return "".join(parts)


def _rare(wordnet: _wordnet.WordNet, word: str) -> str:
    """The last synonym of a word in its number; "" where there is none, or it is no content word."""
    plain = word.lower()
    single = _words.one(plain)
    if plain in ADJECTIVES:
        return _last(wordnet.synonyms(plain, ("adj",)))
    if single not in _words.KINDS and plain != "picture":
        return ""
    synonym = _last(wordnet.synonyms(single, ("noun",)))
    return f"{synonym}s" if synonym and single != plain else synonym


def _last(words: tuple[str, ...]) -> str:
    return words[-1] if words else ""
