"""Letters that change by independent draws, at the rates of the perturbations released with ReCode.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, sections 3.1 and 3.2, and NL-Augmenter (Dhole et
al. 2021, https://arxiv.org/abs/2112.02721). The rates of the released files, measured, are in
`tests/shifts/test_prompts.py`.
"""

import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _texts

DROPPED, ADDED = 0.1, 0.05
"""Shares of the white space that goes, and of the other characters that get a space behind them."""
_UNIT = re.compile(r"\\.|.", re.DOTALL)


def flipped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each letter is in the other case with probability `share`; one 16-bit word a character."""
    draws = rng.uniform(len(text)) < share
    cases = [letter.swapcase() for letter in text]
    return "".join(
        case if draw and len(case) == 1 else letter for letter, case, draw in zip(text, cases, draws, strict=True)
    )


def mistyped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each letter is a neighbouring key with probability `share`; two words a character."""
    draws, keys = rng.uniform(len(text)) < share, rng.uniform(len(text))
    found = []
    for letter, draw, key in zip(text, draws, keys, strict=True):
        near = _texts.NEIGHBOURS.get(letter.lower())
        found.append(_texts.cased(_texts.pick(near, float(key)), letter) if near and draw else letter)
    return "".join(found)


def swapped(text: str, share: float, rng: RandomStream) -> str:
    """Return a text in which each two neighbours, both letters or digits, change places with probability `share`.

    In random order, so that a letter may move twice. One 16-bit word a pair, one raw word for each that is drawn.
    """
    pairs = (rng.uniform(max(0, len(text) - 1)) < share).nonzero()[0]
    found = list(text)
    for at in pairs[rng.choice(len(pairs))].tolist():
        if found[at].isalnum() and found[at + 1].isalnum():
            found[at], found[at + 1] = found[at + 1], found[at]
    return "".join(found)


def spaced(text: str, rng: RandomStream) -> str:
    """Return a text that lost some of its white space, line ends too, and has spaces behind some other characters.

    An escape counts as one character, so that it is not torn apart. One 16-bit word a character.
    """
    units = _UNIT.findall(text)
    found = []
    for unit, draw in zip(units, rng.uniform(len(units)).tolist(), strict=True):
        if unit.isspace():
            found.append("" if draw < DROPPED else unit)
        else:
            found.append(f"{unit} " if draw < ADDED else unit)
    return "".join(found)
