"""Format, new_lines: each line end after the docstring is doubled with probability 0.5.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.4. Differs: drawn by sample and
seed, where the original's draws depend on the order of the problems. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _layout

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Sample, severity: float, words: Words) -> Sample:
    """Return a prompt whose given code is written otherwise.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    own = _code.seeded(__name__, severity, words)
    return _layout.spaced(value, own) if own is not None else value
