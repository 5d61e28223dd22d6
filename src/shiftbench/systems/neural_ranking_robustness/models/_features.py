"""Thirteen numbers of a query and a document, which learned rankers weigh.

BM25 and query likelihood of title and of text (4), TF-IDF cosine, share of the query's words that the document has,
their idf added up, smallest and mean count of a query's word, lengths of query, title and text (log(1 + n)), and the
place of the first match (log(1 + place), the length where there is none). Counts, cosine and matches are of title and
text together.

Source: the kinds of features of LETOR (Qin and Liu 2013, https://arxiv.org/abs/1306.2597); the choice is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shiftbench.data import bag_of_words
from shiftbench.data.bag_of_words import Floats, Index, Ints
from shiftbench.plugins.models._rankers import Collection, Document, whole

COUNT = 13
K1, B, MU = 1.5, 0.75, 1000.0
HELD = 50_000
"""Documents whose words are held in memory: more than a small collection has, few of a large one."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Documents as a query's words see them: counts and lengths of each part, norms and first matches.

    Attributes:
        counts: part -> (m, t).
        lengths: part -> (m,).
        norms: of the TF-IDF vectors, (m,).
        first: place of the first match, (m,).
    """

    counts: Mapping[str, Floats]
    lengths: Mapping[str, Floats]
    norms: Floats
    first: Floats


class Features:
    """Features of the documents of one collection, and of texts in their place."""

    def __init__(self, collection: Collection) -> None:
        titles, texts = zip(*collection.documents, strict=True)
        self.indexes: dict[str, Index] = {"title": Index(titles), "text": Index(texts), "whole": collection.index}
        self._documents = collection.documents
        self.words = lru_cache(maxsize=HELD)(self._words)
        self.norms = np.array([self._norm(self.words(place)) for place in range(len(self._documents))])

    def _words(self, place: int) -> Sequence[str]:
        """The words of a document; those of the last ones asked for are held."""
        return bag_of_words.words(whole(self._documents[place]))

    def of(self, query: str, places: Ints) -> Floats:
        """The features of documents of the collection, float64 (m, 13)."""
        terms = bag_of_words.words(query)
        counted = Counted(
            {name: index.counts(terms, places) for name, index in self.indexes.items()},
            {name: index.lengths[places] for name, index in self.indexes.items()},
            self.norms[places],
            np.array([_first_position(self.words(place), terms) for place in places.tolist()]),
        )
        return self._made(terms, counted)

    def of_texts(self, query: str, documents: Sequence[Document]) -> Floats:
        """The features of other texts under the collection's statistics, float64 (m, 13)."""
        terms = bag_of_words.words(query)
        parts = {
            "title": [title for title, _ in documents],
            "text": [text for _, text in documents],
            "whole": [whole(document) for document in documents],
        }
        counts = {name: [bag_of_words.count(text, terms) for text in texts] for name, texts in parts.items()}
        words = [bag_of_words.words(text) for text in parts["whole"]]
        counted = Counted(
            {name: np.stack([row for row, _ in rows]) for name, rows in counts.items()},
            {name: np.array([length for _, length in rows]) for name, rows in counts.items()},
            np.array([self._norm(one) for one in words]),
            np.array([_first_position(one, terms) for one in words]),
        )
        return self._made(terms, counted)

    def _norm(self, words: Sequence[str]) -> float:
        """The length of a TF-IDF vector."""
        distinct = list(dict.fromkeys(words))
        counts, _ = bag_of_words.count(" ".join(words), distinct)
        return float(np.sqrt(((counts * self.indexes["whole"].idf(distinct)) ** 2).sum()))

    def _made(self, terms: Sequence[str], counted: Counted) -> Floats:
        scores = []
        for name in ("title", "text"):
            index, counts, lengths = self.indexes[name], counted.counts[name], counted.lengths[name]
            scores.append(index.bm25(terms, counts, lengths, K1, B))
            scores.append(index.likelihood(terms, counts, lengths, MU))
        counts, idf = counted.counts["whole"], self.indexes["whole"].idf(terms)
        present = counts > 0
        frequencies = np.zeros((len(counts), 1)) if not terms else counts
        length = np.sqrt((idf**2).sum()) * counted.norms
        dots = (counts * idf**2).sum(axis=1)
        columns = [
            *scores,
            np.divide(dots, length, out=np.zeros_like(dots), where=length > 0),
            present.sum(axis=1) / max(1, len(terms)),
            (present * idf).sum(axis=1),
            frequencies.min(axis=1),
            frequencies.mean(axis=1),
            np.full(len(counts), np.log1p(len(terms))),
            np.log1p(counted.lengths["title"]),
            np.log1p(counted.lengths["text"]),
            np.log1p(counted.first),
        ]
        return np.stack(columns, axis=1)


def _first_position(words: Sequence[str], terms: Sequence[str]) -> float:
    vocabulary = set(terms)
    return float(next((position for position, word in enumerate(words) if word in vocabulary), len(words)))


class FeatureScorer:
    """A ranker that scores features.

    Args:
        score: features (m, 13) -> scores (m,).
    """

    def __init__(self, score: Callable[[Floats], Floats]) -> None:
        self.score = score
        self._known: dict[str, Features] = {}

    def features(self, collection: Collection) -> Features:
        """The features of a collection, made when they are first asked for."""
        if collection.name not in self._known:
            self._known[collection.name] = Features(collection)
        return self._known[collection.name]

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The scores of documents of the collection."""
        return self.score(self.features(collection).of(query, places))

    def changed(self, query: str, collection: Collection, documents: Sequence[Document]) -> Floats:
        """The scores of other texts."""
        return self.score(self.features(collection).of_texts(query, documents))
