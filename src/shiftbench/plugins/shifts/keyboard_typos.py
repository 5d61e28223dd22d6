"""Keyboard typos: letters are replaced by a neighbouring key's.

Source: Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173, section 3.2 ("keyboard typo": a letter is
replaced by an adjacent key); the levels are the rates of Qiu et al. 2022 (MMRobustness),
https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the
rate is the share of the letters on the keyboard (QWERTY, a to z) that are touched, there the share of
words in which some are; only letters replace letters, in the same case; a stronger severity keeps the typos
of a weaker one and adds to them.

Takes one 16-bit word, one raw word per letter on the keyboard, then one 16-bit word for each (which key).
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text with wrong keys; what is not on the keyboard's rows of letters stays."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = _texts.units(value)
    places = [place for place, unit in enumerate(typed) if unit[0].lower() in _texts.NEIGHBOURS]
    order = _texts.touched(share, len(places), rng)
    keys = rng.uniform(len(places))
    for index in order:
        unit = typed[places[index]]
        key = _texts.pick(_texts.NEIGHBOURS[unit[0].lower()], float(keys[index]))
        typed[places[index]] = _texts.cased(key, unit[0]) + unit[1:]
    return "".join(typed)
