"""A perturbation of docstrings by WordNet's synonyms: beside a content word, or in its place.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.1, and NL-Augmenter. Differs: a synonym
takes the word's form; parts of speech by the rules of `_english`. The meaning may drift: nothing checks it. The
severity is a seed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.recode.shifts import _code, _docstrings, _synonyms

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
SOURCES = _synonyms.SOURCES
FORMS = {"insertion": "{new} {old}", "substitution": "{new}"}


class Options(declare.Options):
    change: Literal["", "insertion", "substitution"] = Field(
        "", description="put a synonym before a word, or instead of it"
    )
    share: float = Field(0.0, ge=0, le=1, description="probability that a content word changes")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The change."""
    return {"CHANGE": options["change"]}


def apply(
    value: Sample, severity: float, rng: RandomStream, *, sources: Mapping[str, Path], change: str, share: float
) -> Sample:
    """A prompt with another docstring.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt, or WordNet is not here.
    """
    wordnet = _synonyms.database(sources)
    return _docstrings.tokens(
        f"docstring_synonym_{change}",
        value,
        severity,
        rng,
        lambda parts, free, stream: _synonyms.replaced(wordnet, parts, free, stream, share, FORMS[change]),
    )
