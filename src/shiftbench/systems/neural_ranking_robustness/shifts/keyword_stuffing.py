"""Keyword stuffing: the query is written behind a document, as often as the severity says (in between: rounded).

Source: Gyongyi and Garcia-Molina, "Web Spam Taxonomy", AIRWeb 2005 (term spamming, "repetition"); the target is that of
`_attacks`. Who writes needs the query and no answer of a ranker. Takes no random words.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.neural_ranking_robustness.shifts import _attacks

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = _attacks.RANGE
INPUTS = True
Options = _attacks.Options
needs = _attacks.needs


def apply(
    value: Sample, severity: float, rng: RandomStream, *, inputs: Mapping[Ref, Path] | None = None, **params: Any
) -> Sample:
    """The query with a stuffed document in `documents`.

    Args:
        value: a query with `candidates`.
        severity: 0 to 5, how often.
        rng: not looked at.
        inputs: where the documents lie.
        **params: `collection` and `rank`.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: the sample is no query, or the documents are not here.
    """
    _levels.check(__name__, severity, RANGE)
    times = round(severity)
    if not times:
        return value
    target = _attacks.target("keyword_stuffing", value, {**registry.defaults(_attacks), **params}, inputs)
    if target is None:
        return value
    document, title, text = target
    return _attacks.with_document(value, document, title, " ".join([text, *[value.fields["text"]] * times]))
