"""Near words: a few words of a document give way to near ones that bring it closer to the query, chosen greedily.

    score(q, d) = cosine of the mean vectors of the words of q and d

The first 20 words of the document that have a vector are tried, each with its 4 nearest words of cosine 0.4 or more
that are no words of the query; the best change is made, and again, as many as the severity says (5 at most; in
between: rounded), while the score rises. Vectors are the input table of all-MiniLM-L6-v2 (whole words), so the attack
asks no ranker that it is tried on: it must carry over. Its budget is 400 cheap scores for a document.

Source: greedy word substitution against rankers as in PRADA (Wu et al., https://arxiv.org/abs/2204.01321), with the
first row of a sentence encoder as surrogate. Differs: near words are those of the surrogate, which may be antonyms. The
target is that of `_attacks`. Takes no random words. Its bytes rest on sums of floats: near ties may fall otherwise on
another CPU.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import bag_of_words
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.neural_ranking_robustness.shifts import _attacks

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = _attacks.RANGE
INPUTS = True
Options = _attacks.Options
SOURCE = "all_minilm_l6_v2"
TRIED, NEAR, LIKE = 20, 4, 0.4
BETWEEN = "\x1f"  # title and text, as one text
Floats = NDArray[np.float32]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The documents, and the vectors of words."""
    return [*_attacks.needs(params), *([refs.sources(SOURCE)] if params["collection"] else [])]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, inputs: Mapping[Ref, Path] | None = None, **params: Any
) -> Sample:
    """The query with a document in other words in `documents`.

    Args:
        value: a query with `candidates`.
        severity: 0 to 5, how many words.
        rng: not looked at.
        inputs: where documents and vectors lie.
        **params: `collection` and `rank`.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: the sample is no query, or the documents are not here.
    """
    _levels.check(__name__, severity, RANGE)
    if not round(severity):
        return value
    target = _attacks.target("near_words", value, {**registry.defaults(_attacks), **params}, inputs)
    if target is None:
        return value
    document, title, text = target
    assert inputs is not None  # noqa: S101 - the documents were found in it; tells mypy
    vectors = _vectors(str(inputs[refs.sources(SOURCE)].parent))
    replaced = greedy(value.fields["text"], f"{title}{BETWEEN}{text}", vectors, round(severity))
    title, text = replaced.split(BETWEEN)
    return _attacks.with_document(value, document, title, text)


class Vectors:
    """Whole words of a vocabulary and their vectors, float32 of length 1."""

    def __init__(self, words: list[str], rows: Floats) -> None:
        self.words, self.at = words, {word: place for place, word in enumerate(words)}
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.near = lru_cache(maxsize=20_000)(self._near)

    def _near(self, word: str) -> tuple[str, ...]:
        likeness = np.round(self.rows @ self.rows[self.at[word]], 4)
        likeness[self.at[word]] = -1
        first = np.argsort(-likeness, kind="stable")[:NEAR]
        return tuple(self.words[place] for place in first if likeness[place] >= LIKE)


def greedy(query: str, text: str, vectors: Vectors, most: int) -> str:
    """A text of which `most` words at most are replaced, each time the best one."""
    terms = [word for word in bag_of_words.words(query) if word in vectors.at]
    parts = re.split(r"(\w+)", text)
    places = [index for index in range(1, len(parts), 2) if _plain(parts[index], vectors)]
    if not terms or not places:
        return text
    goal = np.sum([vectors.rows[vectors.at[word]] for word in terms], axis=0)
    total = np.sum([vectors.rows[vectors.at[parts[index].lower()]] for index in places], axis=0)
    best = _cosine(total, goal)
    for _ in range(most):
        options = [
            (_cosine(total + vectors.rows[vectors.at[other]] - vectors.rows[vectors.at[old]], goal), -index, other)
            for index in places[:TRIED]
            for old in [parts[index].lower()]
            for other in vectors.near(old)
            if other not in terms
        ]
        score, negative_place, other = max(options, default=(-1.0, 0, ""))
        if score <= best:
            break
        best = score
        old = parts[-negative_place].lower()
        total = total + vectors.rows[vectors.at[other]] - vectors.rows[vectors.at[old]]
        parts[-negative_place] = other.capitalize() if parts[-negative_place][:1].isupper() else other
    return "".join(parts)


def _plain(word: str, vectors: Vectors) -> bool:
    return word.lower() in vectors.at and word.lower() not in bag_of_words.STOP_WORDS


def _cosine(one: Floats, other: Floats) -> float:
    return round(float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), 6)


@lru_cache(maxsize=1)
def _vectors(folder: str) -> Vectors:
    from safetensors.numpy import load_file

    vocabulary = json.loads((Path(folder) / "tokenizer.json").read_text())["model"]["vocab"]
    table = load_file(Path(folder) / "model.safetensors")["embeddings.word_embeddings.weight"]
    words = sorted(word for word in vocabulary if word.isalpha() and len(word) > 2)
    return Vectors(words, table[[vocabulary[word] for word in words]])
