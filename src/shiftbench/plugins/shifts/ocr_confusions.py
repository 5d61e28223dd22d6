"""OCR confusions: characters are read as others of the same look (0 as O, rn as m).

Source: single characters are the table of nlpaug's OcrAug, https://github.com/makcedward/nlpaug, which
Qiu et al. 2022 (MMRobustness), https://arxiv.org/abs/2212.08044, use and TextFlint too; pairs of letters are
the commonest of Oxford University Press's list,
https://probity.oup.com/documentation/TCIs/ID/common_re-keying_and_OCR_errors. The levels are MMRobustness's rates,
0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: each confusion goes both ways; the
rate is the share of what can be confused that is, there the share of words in which some is; a stronger
severity keeps the confusions of a weaker one and adds to them.

Takes one 16-bit word, one raw word per place that can be confused, then one 16-bit word for each (as what).
"""

import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
LIKE = {
    "0": "8 9 o O D", "1": "4 7 l I", "2": "z Z", "5": "8", "6": "b", "8": "s S @ &", "9": "g",
    "o": "u", "r": "k", "C": "G", "O": "D U", "E": "B",
    "e": "c", "h": "b li", "s": "f", "m": "rn in ni",
}  # fmt: skip


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text as a poor reader of print would give it."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    parts = PATTERN.split(value)  # what is between, then what can be confused, in turn
    count = len(parts) // 2
    order = _texts.touched(share, count, rng)
    readings = rng.uniform(count)
    for index in order:
        seen = parts[2 * index + 1]
        parts[2 * index + 1] = _texts.pick(CONFUSIONS[seen], float(readings[index]))
    return "".join(parts)


def _both_ways() -> dict[str, list[str]]:
    pairs = [(one, other) for one, others in LIKE.items() for other in others.split()]
    readings: dict[str, list[str]] = {}
    for one, other in pairs + [(other, one) for one, other in pairs]:
        readings.setdefault(one, []).append(other)
    return readings


CONFUSIONS = _both_ways()
PATTERN = re.compile(f"({'|'.join(sorted(CONFUSIONS, key=lambda seen: (-len(seen), seen)))})")
