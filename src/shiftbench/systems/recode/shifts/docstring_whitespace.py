"""Docstring, Whitespace: spaces are dropped (p 0.1) and put between letters (p 0.05).

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, and NL-Augmenter's `whitespace_perturbation`.
Differs: see `whitespace`, whose level 2 it is; the indentation stays. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.shifts import whitespace
from shiftbench.systems.recode.shifts import _code, _docstrings

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
    return _docstrings.letters(
        __name__, value, severity, words, lambda text, own: whitespace.apply(text, 2.0, own)
    )
