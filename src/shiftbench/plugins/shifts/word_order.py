"""Word order: pairs of words change places.

Source: "random swap" of Wei & Zou 2019 (EDA), https://arxiv.org/abs/1901.11196, section 2; Qiu et al. 2022
(MMRobustness), https://arxiv.org/abs/2212.08044, swap 0.05 x level pairs per word in
https://github.com/Jielin-Qiu/MM_Robustness. Levels are the share of the words that move, two for each swap.
Differs: no word moves twice, spaces stay where they are, and a stronger severity keeps the swaps of a weaker one
and adds to them. A word is what stands between spaces.

Takes one 16-bit word, then one raw word per word.
"""

import math
import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "text"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text with words in each other's places."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    parts = re.split(r"(\S+)", value)  # spaces and words in turn
    count = len(parts) // 2
    size = math.floor(share * count / 2 + float(rng.uniform()))
    order = 2 * rng.choice(count) + 1
    pairs = zip(order[::2].tolist(), order[1::2].tolist(), strict=False)
    for one, two in list(pairs)[:size]:
        parts[one], parts[two] = parts[two], parts[one]
    return "".join(parts)
