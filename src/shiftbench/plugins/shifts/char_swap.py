"""Character swaps: two neighbouring letters inside a word change places.

Source: Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173, section 3.2 ("swap": two letters, not the
first and not the last, of a word of four letters or more), also in Pruthi et al. 2019,
https://arxiv.org/abs/1905.11268; the levels are the rates of Qiu et al. 2022 (MMRobustness),
https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
is the share of the letters inside words that change places (there that of words with a swap), no letter
moves twice, equal letters are not swapped, and a stronger severity keeps the swaps of a weaker one and adds to
them while there are partners. `inner: false` swaps first and last letters and in short words, too.

Takes one 16-bit word, then one raw word per pair of unequal neighbours.
"""

import math
from itertools import pairwise

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Swapped characters"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {"inner": True}


def apply(value: str, severity: float, rng: RandomStream, *, inner: bool = True) -> str:
    """A text with swapped letters."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = _texts.units(value)
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    size = math.floor(share * len(places) / 2 + float(rng.uniform()))
    for place in _apart(_pairs(typed, places), rng)[:size]:
        typed[place], typed[place + 1] = typed[place + 1], typed[place]
    return "".join(typed)


def _pairs(typed: list[str], places: list[int]) -> list[int]:
    """The first of each two unequal neighbours."""
    pairs = pairwise(places)
    return [one for one, two in pairs if two == one + 1 and typed[one] != typed[two]]


def _apart(pairs: list[int], rng: RandomStream) -> list[int]:
    """Pairs in random order, those left out that overlap with one before."""
    taken: set[int] = set()
    kept = []
    for place in (pairs[index] for index in rng.choice(len(pairs))):
        if not taken & {place, place + 1}:
            taken |= {place, place + 1}
            kept.append(place)
    return kept
