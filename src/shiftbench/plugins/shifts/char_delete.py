"""Character deletion: letters inside words are left out.

Source: Pruthi et al. 2019, https://arxiv.org/abs/1905.11268, section 2 ("drop": an internal letter of a word of
four letters or more); the levels are the rates of Qiu et al. 2022 (MMRobustness),
https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
is the share of the letters inside words that is dropped (there that of words with a drop), and a stronger
severity drops what a weaker one did and more. `inner: false` drops any letter.

Takes one 16-bit word, then one raw word per letter that may be dropped.
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Deleted characters"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {"inner": True}


def apply(value: str, severity: float, rng: RandomStream, *, inner: bool = True) -> str:
    """A text with letters left out, each with the marks on it."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = _texts.units(value)
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    for index in _texts.touched(share, len(places), rng):
        typed[places[index]] = ""
    return "".join(typed)
