"""A perturbation of the format of a code prompt; see `_layout`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.4. The severity is a seed.
"""

from collections.abc import Callable, Mapping

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _layout, _syntax

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {"change": ""}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return which change it is."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """Return a prompt whose given code is written otherwise.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    own = _code.seeded(f"format_{change}", severity, rng)
    return CHANGES[change](value, own) if own is not None else value


def _after_docstring(sample: Sample, _: RandomStream) -> Sample:
    code = _code.Code.of(sample)
    if code.docstring is None:
        return sample
    end = code.docstring[1]
    return _code.with_code(sample, code.text[:end] + "\n" + code.text[end:])


CHANGES: dict[str, Callable[[Sample, RandomStream], Sample]] = {
    "black_only": lambda sample, _: _syntax.formatted(sample),
    "docstring_to_comments": lambda sample, _: _layout.commented(sample),
    "new_line_after_code": lambda sample, _: _code.with_code(sample, _code.Code.of(sample).text + "\n"),
    "new_line_after_docstring": _after_docstring,
    "new_lines": _layout.spaced,
    "split_lines": lambda sample, _: _layout.split(sample),
    "tab_indent": lambda sample, _: _layout.tabbed(sample),
}
