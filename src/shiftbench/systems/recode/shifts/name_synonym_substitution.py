"""Name, SynonymSub: a content word becomes, with probability 0.5, one of its synonyms.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.2; replacement
of names as in `_names`.
The severity is a seed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _names, _synonyms

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
SOURCES = _synonyms.SOURCES
Share = Annotated[float, Field(ge=0, le=1, description="probability that a content word becomes a synonym")]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, sources: Mapping[str, Path], share: Share = 0.5
) -> Sample:
    """A prompt whose function has another name.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt, or WordNet is not here.
    """
    wordnet = _synonyms.database(sources)

    def change(parts: list[str], stream: RandomStream) -> list[str]:
        return _synonyms.replaced(wordnet, parts, [True] * len(parts), stream, share, "{new}")

    return _names.renamed(__name__, value, severity, rng, change)
