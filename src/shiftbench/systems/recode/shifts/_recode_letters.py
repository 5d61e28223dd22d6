"""A perturbation of single letters in the docstring or in the function's name.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, sections 3.1 and 3.2; replacement of names as in
`_names`. The severity is a seed.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.recode.shifts import _code, _docstrings, _letters, _names

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
CHANGES = {"case": _letters.flipped, "keyboard": _letters.mistyped, "swap": _letters.swapped}


class Options(declare.Options):
    of: Literal["", "docstring", "name"] = Field("", description="part of the prompt whose letters change")
    change: Literal["", "case", "keyboard", "swap"] = Field("", description="change of a letter")
    share: float = Field(0.0, ge=0, le=1, description="probability that a letter changes")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The change, and what it changes."""
    return {"OF": options["of"], "CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, of: str, change: str, share: float) -> Sample:
    """A prompt with another docstring (`of: docstring`), or whose function has another name (`of: name`).

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """

    def letters(text: str, stream: RandomStream) -> str:
        return CHANGES[change](text, share, stream)

    def parts(words: list[str], stream: RandomStream) -> list[str]:
        return [letters(part, stream) for part in words]

    name = f"{of}_{change}"
    if of == "name":
        return _names.renamed(name, value, severity, rng, parts)
    return _docstrings.letters(name, value, severity, rng, letters)
