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
    """A text in which each letter is in the other case with probability `share`; one 16-bit word a character."""
    flips = rng.uniform(len(text)) < share
    cases = [letter.swapcase() for letter in text]
    return "".join(
        case if flip and len(case) == 1 else letter for letter, case, flip in zip(text, cases, flips, strict=True)
    )


def mistyped(text: str, share: float, rng: RandomStream) -> str:
    """A text in which each letter is a neighbouring key with probability `share`; two words a character."""
    errors, keys = rng.uniform(len(text)) < share, rng.uniform(len(text))
    letters = []
    for letter, error, key in zip(text, errors, keys, strict=True):
        neighbours = _texts.NEIGHBOURS.get(letter.lower())
        letters.append(_texts.cased(_texts.pick(neighbours, float(key)), letter) if neighbours and error else letter)
    return "".join(letters)


def swapped(text: str, share: float, rng: RandomStream) -> str:
    """A text in which each two neighbours, both letters or digits, change places with probability `share`.

    In random order, so that a letter may move twice. One 16-bit word a pair, one raw word for each that is drawn.
    """
    pairs = (rng.uniform(max(0, len(text) - 1)) < share).nonzero()[0]
    letters = list(text)
    for index in pairs[rng.choice(len(pairs))].tolist():
        if letters[index].isalnum() and letters[index + 1].isalnum():
            letters[index], letters[index + 1] = letters[index + 1], letters[index]
    return "".join(letters)


def spaced(text: str, rng: RandomStream) -> str:
    """A text that lost some of its white space, line ends too, and has spaces behind some other characters.

    An escape counts as one character, so that it is not torn apart. One 16-bit word a character.
    """
    units = _UNIT.findall(text)
    parts = []
    for unit, draw in zip(units, rng.uniform(len(units)).tolist(), strict=True):
        if unit.isspace():
            parts.append("" if draw < DROPPED else unit)
        else:
            parts.append(f"{unit} " if draw < ADDED else unit)
    return "".join(parts)
