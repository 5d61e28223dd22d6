"""Syntax, VarRenamerRN: the most frequent variable is called by random letters and digits, as many, a letter first.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen;
see `_syntax`. The severity is a seed.
"""

from __future__ import annotations

import string

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _syntax, _variables

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
        lambda code, own: _variables.renamed(code, lambda name: _random(len(name), own)),
    )


def _random(length: int, words: Words) -> str:
    draws = words.uniform(length)
    return "".join(_ALL[int(draw * (len(_ALL) if at else 52))] for at, draw in enumerate(draws))


_ALL = string.ascii_letters + string.digits
