"""A classifier of claims that writes no query: TF-IDF of the claim beside what it shares with the table.

It compares words of the claim with words of the table and links no column to a value, so it cannot know what a claim
says of a cell. All of its parameters are tensors: `idf`, `head.weight`, `head.bias`; trained by `table_logreg`.

Source: none; a floor under RePanda's Finetuned-Direct (arXiv 2503.11921), a model of 7B that is tuned on labels. TF-IDF
as in `models/tfidf.py`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _tfidf

TASK = "table_question"
OVERLAPS = 5
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


class Options(declare.Options):
    columns: int = Field(4096, ge=1, description="number of n-grams that are counted")
    ngrams: int = Field(2, ge=1, description="largest number of words of an n-gram")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `answers`.

    Raises:
        ModelError: weights of another number of columns.
    """
    state = nets.read_state(weights)
    expected = (2, params["columns"] + OVERLAPS)
    shape = tuple(state["head.weight"].shape) if "head.weight" in state else None
    if shape != expected:
        raise ModelError(f"{weights}: head.weight is {shape}, expected {expected}; train with table_logreg")
    idf, weight, bias = (state[name].numpy() for name in ("idf", "head.weight", "head.bias"))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        rows = features(samples, idf, params)
        answers = np.empty(len(samples), object)
        answers[:] = [bool(answer) for answer in (rows @ weight.T + bias).argmax(1)]
        return {"answers": answers}

    return predict


def word_counts(samples: Sequence[Sample], params: Mapping[str, Any]) -> Any:
    """Counts of each hashed word of the claims, sparse (n, columns)."""
    texts = [sample.fields["text"] for sample in samples]
    return _tfidf.counts(texts, params["columns"], params["ngrams"])


def features(samples: Sequence[Sample], idf: NDArray[np.float64], params: Mapping[str, Any]) -> Any:
    """TF-IDF of the claims and OVERLAPS with their tables, sparse float64 (n, columns + OVERLAPS)."""
    overlaps = np.array([overlap(sample) for sample in samples]).reshape(-1, OVERLAPS)
    return sparse.hstack([_tfidf.weigh(word_counts(samples, params), idf), overlaps]).tocsr()


def overlap(sample: Sample) -> list[float]:
    """Overlap of a claim with its table.

    The share of its words that occur there, of its numbers, of those words in one row (the best), whether a column is
    named, and whether it has a number at all.
    """
    table, claim = sample.fields["table"], sample.fields["text"].casefold()
    rows = [_words(" ".join(cell or "" for cell in row)) for row in table["rows"]]
    header, claim_words = _words(" ".join(table["header"])), _words(claim)
    everywhere = header.union(*rows)
    numbers = {word for word in claim_words if word[0].isdigit()}
    best = max((len(claim_words & row) for row in rows), default=0)
    names_column = any(name.casefold() in claim for name in table["header"])
    return [
        _share(claim_words & everywhere, claim_words),
        _share(numbers & everywhere, numbers),
        best / max(len(claim_words), 1),
        float(names_column),
        float(bool(numbers)),
    ]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _share(part: set[str], words: set[str]) -> float:
    return len(part) / len(words) if words else 0.0
