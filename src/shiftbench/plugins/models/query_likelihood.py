"""Query likelihood: how probable the query is under the words of a document, smoothed by those of the collection.

Source: Zhai and Lafferty 2004, Dirichlet smoothing; formula and words in `lexical`. Nothing is trained.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.data import bag_of_words
from shiftbench.data.bag_of_words import Floats
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers

TASK = "ranking"
needs = _rankers.needs


class Options(_rankers.Options):
    mu: float = Field(1000.0, ge=0, description="weight of the collection's words in the smoothing, in words")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU."""

    def score(index: bag_of_words.Index, terms: Sequence[str], counts: Floats, lengths: Floats) -> Floats:
        return index.likelihood(terms, counts, lengths, params["mu"])

    return _rankers.predictor(_rankers.Lexical(score), inputs, params, decimals=9)
