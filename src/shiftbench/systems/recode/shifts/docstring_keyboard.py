"""Docstring, ButterFingers: letters become those of a neighbouring key.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, and NL-Augmenter's
`butter_fingers_perturbation`, p 0.05 per letter (its draw, `randint(0, 99) <= 5`, makes it 6 percent). Differs: the
share is 0.05 in the mean; only keys that touch, see `keyboard_typos`. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.shifts import keyboard_typos
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
        __name__, value, severity, words, lambda text, own: keyboard_typos.apply(text, 1.0, own)
    )
