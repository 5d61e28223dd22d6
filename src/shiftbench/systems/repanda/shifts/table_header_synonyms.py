"""Header synonyms: names of columns in other words, while the claim keeps its own.

In each name that is touched one word gives way to a synonym of WordNet: a noun's, one of those of its frequent senses.
Its senses are not told apart, so that `Capital` may become `Uppercase`. Names without a known noun stay, and so does a
name that would be there twice. The claim is about the column all the
same, so that its truth is that of the table as it was; `meta.query` still has the old name.

Source: RePanda, arXiv 2503.11921 (headers of other tables call the same things otherwise); synonyms of Miller 1995
(WordNet), `shifts/_wordnet.py`. Differs: ours, no table of the paper measures it.

Takes one 16-bit word, one raw word per name that has a synonym, then one 16-bit word for each (which).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts, _wordnet
from shiftbench.systems.repanda.shifts import _tables

FIELD = "table"
TASK = "table_question"
LEVELS = _tables.ALL
RANGE = _levels.RANGE
SOURCES = (_wordnet.SOURCE,)
MOST = 3
_WORD = re.compile(r"[A-Za-z]+")


def apply(
    value: Mapping[str, Any], severity: float, rng: RandomStream, *, sources: Mapping[str, Path]
) -> Mapping[str, Any]:
    """A table some of whose columns have other names.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: WordNet is not here.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if _wordnet.SOURCE not in sources:
        raise DataError("synonyms need WordNet; `shiftbench fetch wordnet` brings it")
    wordnet, header = _wordnet.load(sources[_wordnet.SOURCE]), list(value["header"])
    options = {position: names for position, name in enumerate(header) if (names := _others(name, wordnet))}
    places = list(options)
    order = _texts.touched(share, len(places), rng)
    picks = rng.uniform(len(places))
    for index in order:
        name = _texts.pick(options[places[index]], float(picks[index]))
        if name.casefold() not in {heading.casefold() for heading in header}:
            header[places[index]] = name
    return _tables.with_header(value, header)


def _others(name: str, wordnet: _wordnet.WordNet) -> list[str]:
    """Other names of a column: its first word that has synonyms, in up to MOST other words."""
    for match in _WORD.finditer(name):
        synonyms = wordnet.synonyms(match[0], ("noun",))[:MOST]
        if synonyms:
            prefix, suffix = name[: match.start()], name[match.end() :]
            return [prefix + _like(synonym, match[0]) + suffix for synonym in synonyms]
    return []


def _like(word: str, model: str) -> str:
    return word.capitalize() if model[0].isupper() else word
