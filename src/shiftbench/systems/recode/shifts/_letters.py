"""Letters that change by independent draws, as the perturbations of names and docstrings do it."""

from __future__ import annotations

from shiftbench.rng import RandomStream
from shiftbench.shifts import _texts


def flipped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each letter is in the other case with probability `share`; one 16-bit word a character."""
    draws = rng.uniform(len(text)) < share
    cases = [letter.swapcase() for letter in text]
    return "".join(
        case if draw and len(case) == 1 else letter
        for letter, case, draw in zip(text, cases, draws, strict=True)
    )


def mistyped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each letter is a neighbouring key with probability `share`; two words a character."""
    draws, keys = rng.uniform(len(text)) < share, rng.uniform(len(text))
    found = []
    for letter, draw, key in zip(text, draws, keys, strict=True):
        near = _texts.NEIGHBOURS.get(letter.lower())
        found.append(
            _texts.cased(_texts.pick(near, float(key)), letter) if near and draw else letter
        )
    return "".join(found)


def swapped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each letter changes places with the next with probability `share`, none moving twice."""
    draws = rng.uniform(len(text)) < share
    found, at = list(text), 0
    while at + 1 < len(found):
        moves = bool(draws[at]) and found[at].isalpha() and found[at + 1].isalpha()
        if moves:
            found[at], found[at + 1] = found[at + 1], found[at]
        at += 2 if moves else 1
    return "".join(found)
