"""Errors in content words, one each: two neighbouring letters swapped, a wrong key, a letter missing, a letter twice.

A word is touched with the probability of the level. Words are runs of letters that are no stop words (those of
`lexical`); `shortest: 2` lets short queries have an error, too. The letter is drawn for each word, and is the same at
every severity.

Source: the character errors that queries are attacked with in work on ranking (Zhuang and Zuccon, "Dealing with
Typos for BERT-based Passage Retrieval and Ranking", EMNLP 2021); levels, as probabilities, are ours. Differs: no
random letter is inserted, but one typed twice.

Takes one raw word per content word, then three 16-bit words for each (whether, where, which key).
"""

import re
from typing import Annotated, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.data import bag_of_words
from shiftbench.plugins.shifts import _levels, _texts

FIELD = "text"
LEVELS = {1: 0.1, 2: 0.25, 3: 0.5, 4: 0.75, 5: 1.0}
RANGE = _levels.RANGE
KINDS = ("swap", "keyboard", "delete", "double")
Kind = Annotated[Literal["swap", "keyboard", "delete", "double"], Field(description="error that is made in a word")]
Shortest = Annotated[int, Field(ge=1, description="letters that a word has at least to be touched")]
Most = Annotated[int, Field(ge=0, description="words of a text that are touched at most; 0: any number")]


def apply(
    value: str, severity: float, rng: RandomStream, *, kind: Kind = "swap", shortest: Shortest = 4, most: Most = 0
) -> str:
    """A text with errors.

    Raises:
        RangeError: severity outside 0 to 5.
        ParamsError: no such kind.
    """
    (probability,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if kind not in KINDS:
        raise ParamsError(f"kind is {kind!r}; {suggest(kind, KINDS)}")
    typed = _texts.units(value)
    spans = _content(typed, max(2, shortest))
    order = rng.choice(len(spans))
    uniforms = rng.uniform((len(spans), 3))
    chosen = [int(number) for number in order if uniforms[number, 0] < probability]
    for number in sorted(chosen[: most or None], reverse=True):  # from the end, so that places hold
        low, high = spans[number]
        typed[low:high] = _wrong(typed[low:high], kind, float(uniforms[number, 1]), float(uniforms[number, 2]))
    return "".join(typed)


def _content(typed: list[str], shortest: int) -> list[tuple[int, int]]:
    words = re.finditer(f"a{{{shortest},}}", _texts.shape(typed))
    spans = [(word.start(), word.end()) for word in words]
    return [(low, high) for low, high in spans if "".join(typed[low:high]).lower() not in bag_of_words.STOP_WORDS]


def _wrong(letters: list[str], kind: str, place_draw: float, kind_draw: float) -> list[str]:
    """The letters of a word with one error; as they are where none is possible."""
    if kind == "swap":
        pairs = [index for index in range(len(letters) - 1) if letters[index] != letters[index + 1]]
        if not pairs:
            return letters
        index = pairs[int(place_draw * len(pairs))]
        return [*letters[:index], letters[index + 1], letters[index], *letters[index + 2 :]]
    index = int(place_draw * len(letters))
    letter = letters[index]
    if kind == "keyboard":
        keys = _texts.NEIGHBOURS.get(letter[0].lower(), letter[0])
        replacement = [_texts.cased(_texts.pick(keys, kind_draw), letter[0]) + letter[1:]]
    else:
        replacement = [] if kind == "delete" else [letter, letter]
    return [*letters[:index], *replacement, *letters[index + 1 :]]
