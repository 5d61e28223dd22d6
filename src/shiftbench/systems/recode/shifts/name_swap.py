"""Name, SwapChar: each letter changes places with the next with probability 0.05.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.2; replacement
of names as in `_names`. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _letters, _names

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {"share": 0.05}


def apply(value: Sample, severity: float, words: Words, share: float = 0.05) -> Sample:
    """Return a prompt whose function has another name.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _names.renamed(
        __name__,
        value,
        severity,
        words,
        lambda parts, own: [_letters.swapped(part, share, own) for part in parts],
    )
