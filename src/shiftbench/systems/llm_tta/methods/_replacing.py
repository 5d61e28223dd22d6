"""Texts whose words are replaced or joined by others; helper of the augmenters that ask no language model."""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream

WORD = re.compile(r"[^\W\d_]+")
Options = Callable[[str], Sequence[str]]
"""A word -> what may stand for it; () where nothing may."""


def replaced(text: str, share: float, options: Options, rng: RandomStream) -> str:
    """Return a text in which each word that has options is replaced by one of them with probability `share`.

    A capital at the beginning stays. Takes 16-bit words, two for each word of the text.
    """
    draws = _draws(text, rng)
    drawn = iter(draws)

    def other(match: re.Match[str]) -> str:
        touched, which = next(drawn)
        found = options(match[0]) if touched < share else ()
        return cased(found[int(which * len(found))], match[0]) if found else match[0]

    return WORD.sub(other, text)


def joined(text: str, share: float, options: Options, rng: RandomStream) -> str:
    """Return a text in which, behind each word with probability `share`, an option of a random word of it is put.

    Takes 16-bit words, two for each word of the text.
    """
    every = [found for word in WORD.findall(text) if (found := options(word))]
    drawn = iter(_draws(text, rng))

    def more(match: re.Match[str]) -> str:
        touched, which = next(drawn)
        if touched >= share or not every:
            return match[0]
        place = float(which) * len(every)
        found = every[int(place)]
        return f"{match[0]} {found[int((place % 1) * len(found))]}"

    return WORD.sub(more, text)


def cased(word: str, model: str) -> str:
    """Return a word with a capital at its beginning if `model` has one."""
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def _draws(text: str, rng: RandomStream) -> NDArray[np.float32]:
    return rng.uniform((len(WORD.findall(text)), 2))
