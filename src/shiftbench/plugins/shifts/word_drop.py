"""Word drop: words are left out.

Source: "random deletion" of Wei & Zou 2019 (EDA), https://arxiv.org/abs/1901.11196, section 2; the levels are the
rates of Qiu et al. 2022 (MMRobustness), https://arxiv.org/abs/2212.08044, 0.05 x level in
https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate is the share of a text's words that is dropped
(there each word's chance), the spaces of those that stay are kept, and a stronger severity drops what a
weaker one did and more. A word is what stands between spaces; one always stays.

Takes one 16-bit word, then one raw word per word.
"""

import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

TITLE = "Dropped words"
FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text without some of its words; a word goes with the space before it."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    parts = re.split(r"(\S+)", value)
    gaps, spoken = parts[::2], parts[1::2]
    dropped = _texts.touched(share, len(spoken), rng)[: max(len(spoken) - 1, 0)]
    kept = sorted(set(range(len(spoken))) - set(dropped))
    if kept:
        gaps[kept[0]] = gaps[0]  # a text begins as it did
    return "".join(gaps[index] + spoken[index] for index in kept) + gaps[-1]
