"""Character insertion: further letters come into words.

Source: Pruthi et al. 2019, https://arxiv.org/abs/1905.11268, section 2 ("add": a letter at an internal
position of a word of four letters or more); the levels are the rates of Qiu et al. 2022 (MMRobustness),
https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
counts insertions per letter inside words, one at most behind each (there words with one); the new letter is one
of the text's own, so that any script works; a stronger severity keeps what a weaker one inserted and adds to
it. `inner: false` inserts behind any letter.

Takes one 16-bit word, one raw word per letter behind which one may come, then one 16-bit word for each
(which letter).
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Inserted characters"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {"inner": True}


def apply(value: str, severity: float, rng: RandomStream, *, inner: bool = True) -> str:
    """A text with more letters, each in the case of the letter before it."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = _texts.units(value)
    own = [typed[place][0] for place in _texts.letters(typed)]
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    order = _texts.touched(share, len(places), rng)
    picks = rng.uniform(len(places))
    for index in order:
        before = typed[places[index]]
        typed[places[index]] += _texts.cased(_texts.pick(own, float(picks[index])), before[0])
    return "".join(typed)
