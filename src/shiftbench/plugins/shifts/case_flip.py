"""Case flips: small letters become capitals, and capitals small.

Source: the random upper-casing of NL-Augmenter (Dhole et al. 2021, https://arxiv.org/abs/2112.02721),
`random_upper_transformation` in https://github.com/GEM-benchmark/NL-Augmenter, whose share of 0.1 is level 2.
Differs: the share is of the letters that have a case (there of all characters), capitals become small, too,
and a stronger severity keeps the flips of a weaker one and adds to them. Letters whose other case takes two
characters (German sharp s) stay.

Takes one 16-bit word, then one raw word per letter that has a case.
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Flipped case"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text with letters in the other case; its length stays."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = list(value)
    places = [place for place, character in enumerate(typed) if _has_case(character)]
    for index in _texts.touched(share, len(places), rng):
        typed[places[index]] = typed[places[index]].swapcase()
    return "".join(typed)


def _has_case(character: str) -> bool:
    other = character.swapcase()
    return other != character and len(other) == 1
