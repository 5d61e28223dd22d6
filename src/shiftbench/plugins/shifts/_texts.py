"""Helpers of the text shifts: letters with their marks, which of them are touched, the keyboard.

A text is handled in units: a character and the combining marks on it, so that an accent that is a
character of its own never moves to another letter. Letters are what Unicode calls letters, in any script.

Which units are touched is one random order of all that a shift could touch, of which a severity takes a
beginning: a stronger severity keeps what a weaker one touched and adds to it.
"""

import math
import re
import unicodedata
from collections.abc import Sequence

from shiftbench.base.rng import RandomStream

SHORTEST = 4  # letters of a word that has an inside, as in Pruthi et al. 2019
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def units(text: str) -> list[str]:
    """Split a text into characters, each with the combining marks that follow it."""
    if text.isascii():
        return list(text)
    characters: list[str] = []
    for character in text:
        if characters and unicodedata.category(character).startswith("M"):
            characters[-1] += character
        else:
            characters.append(character)
    return characters


def shape(units: Sequence[str]) -> str:
    """One character per unit: "a" for a letter, " " for a space of any kind, else "."."""
    return "".join("a" if unit[0].isalpha() else " " if unit.isspace() else "." for unit in units)


def letters(units: Sequence[str]) -> list[int]:
    """Positions of the letters."""
    return [place for place, kind in enumerate(shape(units)) if kind == "a"]


def inside(units: Sequence[str]) -> list[int]:
    """Positions of the letters inside words of four letters or more: not the first, not the last."""
    whole = re.finditer(f"a{{{SHORTEST},}}", shape(units))
    return [place for word in whole for place in range(word.start() + 1, word.end() - 1)]


def touched(share: float, count: int, rng: RandomStream) -> list[int]:
    """A random share of `count` things, in random order; a greater share begins with a smaller one's.

    The number is share x count, rounded down or up at random, so that over many texts its mean is
    exact, however short they are. Takes one 16-bit word, then one raw word per thing.
    """
    size = math.floor(share * count + float(rng.uniform()))
    order: list[int] = rng.choice(count)[:size].tolist()
    return order


def pick(options: Sequence[str], part: float) -> str:
    """The option at `part` of the way, in (0, 1)."""
    return options[int(part * len(options))]


def cased(letter: str, model: str) -> str:
    """A letter in upper case if `model` is, else in lower case; as it is if that takes two characters."""
    changed = letter.upper() if model.isupper() else letter.lower()
    return changed if len(changed) == 1 else letter


def _neighbours() -> dict[str, str]:
    """The keys that touch each key; a row is half a key to the right of the one above."""
    places = {key: (row, column + row / 2) for row, keys in enumerate(ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other
            for other, (row, column) in places.items()
            if other != key and abs(row - at[0]) <= 1 and abs(column - at[1]) <= 1
        )
        for key, at in places.items()
    }


NEIGHBOURS = _neighbours()  # of a QWERTY keyboard
