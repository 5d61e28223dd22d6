"""Docstring, SwapCharacters: neighbouring letters change places.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, and NL-Augmenter's
`swap_characters`, p 0.05 per pair. Differs: no letter moves twice, see `char_swap`. The severity is a seed.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.shifts import char_swap
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
        __name__,
        value,
        severity,
        words,
        lambda text, own: char_swap.apply(
            text, 2.0, own, inner=False
        ),  # half of the letters' share are pairs
    )
