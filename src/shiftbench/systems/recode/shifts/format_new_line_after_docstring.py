"""Format, new_line_afterdoc: an empty line behind the docstring.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.4. Deterministic. Takes no random
words.
"""

from __future__ import annotations

from shiftbench.rng import Words
from shiftbench.sample import Sample
from shiftbench.systems.recode.shifts import _code

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
    code = _code.Code.of(value)
    if own is None or code.docstring is None:
        return value
    end = code.docstring[1]
    return _code.with_code(value, code.text[:end] + "\n" + code.text[end:])
