"""BM25: words that a query and a document share, weighed by how rare they are; nothing is learnt.

Source: Robertson and Zaragoza 2009; formula and words in `lexical`. Statistics are of the collection as it is: changed
documents are scored as if they were not yet indexed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.data import bag_of_words
from shiftbench.data.bag_of_words import Floats
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers

TASK = "ranking"
PARAMS: dict[str, object] = {**registry.defaults(_rankers), "k1": 1.5, "b": 0.75}
needs = _rankers.needs


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU."""

    def score(index: bag_of_words.Index, terms: Sequence[str], counts: Floats, lengths: Floats) -> Floats:
        return index.bm25(terms, counts, lengths, params["k1"], params["b"])

    return _rankers.predictor(_rankers.Lexical(score), inputs, params, decimals=9)
