"""BM25: words that a query and a document share, weighted by how rare they are; nothing is trained.

Source: Robertson and Zaragoza 2009; formula and words in `lexical`. Statistics are of the collection as it is: changed
documents are scored as if they were not yet indexed.
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
    k1: float = Field(1.5, ge=0, description="how much the occurrences of a word after its first count")
    b: float = Field(0.75, ge=0, le=1, description="how much a document's length counts; 0: not at all")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU."""

    def score(index: bag_of_words.Index, terms: Sequence[str], counts: Floats, lengths: Floats) -> Floats:
        return index.bm25(terms, counts, lengths, params["k1"], params["b"])

    return _rankers.predictor(_rankers.Lexical(score), inputs, params, decimals=9)
