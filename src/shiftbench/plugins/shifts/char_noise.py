"""Character noise: typing mistakes in a text (neighbouring keys, swapped and dropped letters).

Source: the kinds are those of Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173, section 3.2
("keyboard typo", "swap") and of Pruthi et al. 2019, https://arxiv.org/abs/1905.11268 ("drop"); the levels
are the rates of Qiu et al. 2022 (MMRobustness), https://arxiv.org/abs/2212.08044, 0.05 x level in
https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate is the share of a text's letters that is
touched (there the share of words, in which some letters are), the three kinds are mixed evenly, and
a stronger severity keeps the mistakes of a weaker one and adds to them.

Takes raw words: one per letter (which come first), then two 16-bit words per letter (kind, neighbour).
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Character noise"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text with typing mistakes; what is no letter stays."""
    (rate,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    letters = [place for place, character in enumerate(value) if character.isalpha()]
    order = rng.choice(len(letters))
    kinds = rng.uniform(len(letters))
    picks = rng.uniform(len(letters))
    typed = list(value)
    for index in order[: round(rate * len(letters))]:
        _mistype(typed, letters[index], float(kinds[index]), float(picks[index]))
    return "".join(typed)


def _mistype(typed: list[str], place: int, kind: float, pick: float) -> None:
    """Make one mistake in `typed`, a list of single characters or dropped ones ("")."""
    letter = typed[place]
    near = _texts.NEIGHBOURS.get(letter.lower(), "")
    other = _partner(typed, place)
    if kind < 1 / 3 and near:
        key = near[int(pick * len(near))]
        typed[place] = key.upper() if letter.isupper() else key
    elif kind < 2 / 3 and typed[other] != letter:
        typed[place], typed[other] = typed[other], letter
    else:
        typed[place] = ""


def _partner(typed: list[str], place: int) -> int:
    """Position of the next letter, the one before at a word's end, or `place` for a lone letter."""
    for other in (place + 1, place - 1):
        if 0 <= other < len(typed) and typed[other].isalpha():
            return other
    return place
