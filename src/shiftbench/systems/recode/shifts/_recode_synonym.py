"""A perturbation of docstrings by WordNet's synonyms: beside a content word, or in its place.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.1, and NL-Augmenter. Differs: a synonym
takes the word's form; parts of speech by the rules of `_english`. The meaning may drift: nothing checks it. The
severity is a seed.
"""

from collections.abc import Mapping
from pathlib import Path

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _docstrings, _synonyms

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
SOURCES = _synonyms.SOURCES
PARAMS: dict[str, object] = {"change": "", "share": 0.0}
FORMS = {"insertion": "{new} {old}", "substitution": "{new}"}


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
