"""Docstring, TenseFuture: verbs in the future tense.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, and NL-Augmenter's `tense`. Deterministic: all
seeds are alike. Differs: verbs are found by the rules of `_tenses`. Takes no random words.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code, _docstrings, _tenses

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Sample, severity: float, words: Words) -> Sample:
    """Return a prompt with another docstring.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _docstrings.tokens(__name__, value, severity, words, _tenses.future)
