"""Syntax, VarRenamerNaive: the most frequent variable is called `VAR_0`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen;
see `_syntax`. Deterministic. Takes no random words.
"""

from __future__ import annotations

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
        lambda code, _: _variables.renamed(code, lambda _: "VAR_0"),
    )
