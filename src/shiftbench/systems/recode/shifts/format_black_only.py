"""Control: Black formats the program, and nothing else; what perturbations of syntax do beside their own.

Source: none; perturbations of syntax end with Black (Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264,
section 3.3). Deterministic. Takes no random words.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _syntax

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
    return _syntax.formatted(value) if own is not None else value
