"""Syntax, DeadCodeInserter: code that never runs is put before a random statement.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen; see `_syntax`. The
code is a random statement of at most half of the function's nodes, in an `if`, `while` or `for`. The severity is a
seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _dead_code, _syntax

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
    return _syntax.changed(
        __name__,
        value,
        severity,
        words,
        lambda code, own: _dead_code.inserted(code, own, last=False),
    )
