"""Word counts of documents, and two scores of a query: BM25 and query likelihood.

A word is a run of two letters, digits or underscores at least, in lower case; Lucene's 33 English stop words are left
out (bm25s' default: the same order, up to the factor k1 + 1 the same scores). Scores are sums of float64 in the order
of the query's words.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WORD = re.compile(r"\b\w\w+\b")
STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split()
)


def words(text: str) -> list[str]:
    """Words of a text, in order.

    Example:
        >>> words("The state of Attention-based NLP")
        ['state', 'attention', 'based', 'nlp']
    """
    return [word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]


def rank(scores: Floats, decimals: int = 9) -> Ints:
    """Places by falling score; places of equal score (to so many decimals) ascend, so that every machine agrees."""
    places: Ints = np.argsort(-np.round(scores, decimals), kind="stable")
    return places


class Index:
    """Word counts of n documents.

    Args:
        texts: the documents.

    Attributes:
        lengths: words of each document, float64 (n,).
        vocabulary: word -> its column.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.vocabulary: dict[str, int] = {}
        columns, values = (array("i"), array("d"))  # lists of a large collection's would be four times as large
        ends, lengths = [0], []
        for text in texts:
            tokens = words(text)
            token_counts = Counter(tokens)
            columns.extend(self.vocabulary.setdefault(word, len(self.vocabulary)) for word in token_counts)
            values.extend(token_counts.values())
            ends.append(len(columns))
            lengths.append(len(tokens))
        shape = (len(lengths), len(self.vocabulary))
        parts = np.array(values), np.array(columns), np.array(ends)
        rows = sparse.csr_array(parts, shape=shape)
        self._columns = rows.tocsc()
        self.lengths: Floats = np.array(lengths, dtype=np.float64)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def _holding(self) -> Ints:
        counts: Ints = np.diff(self._columns.indptr).astype(np.int64)
        return counts

    @cached_property
    def _occurring(self) -> Floats:
        return np.asarray(self._columns.sum(axis=0)).ravel()

    def holding(self, terms: Sequence[str]) -> Ints:
        """Number of documents with each word, int64 (t,)."""
        return self._of(terms, self._holding).astype(np.int64)

    def occurring(self, terms: Sequence[str]) -> Floats:
        """Count of each word in the collection, float64 (t,)."""
        return self._of(terms, self._occurring)

    def _of(self, terms: Sequence[str], known: NDArray[np.generic]) -> Floats:
        columns = [self.vocabulary.get(term) for term in terms]
        return np.array([0 if column is None else known[column] for column in columns], dtype=np.float64)

    def counts(self, terms: Sequence[str], places: Ints | None = None) -> Floats:
        """Word counts of documents (all, or those at some indices), float64 (m, t)."""
        counts = np.zeros((len(terms), len(self) if places is None else len(places)))
        for row, term in zip(counts, terms, strict=True):
            if term in self.vocabulary:
                column = self.vocabulary[term]
                span = slice(*self._columns.indptr[column : column + 2])
                _fill(row, self._columns.indices[span], self._columns.data[span], places)
        return counts.T

    def idf(self, terms: Sequence[str]) -> Floats:
        """Inverse document frequency of each word, ln(1 + (N - n + 0.5) / (n + 0.5)); n of N documents have it."""
        n = self.holding(terms)
        idf: Floats = np.log(1 + (len(self) - n + 0.5) / (n + 0.5))
        return idf

    def bm25(self, terms: Sequence[str], counts: Floats, lengths: Floats, k1: float, b: float) -> Floats:
        """BM25 scores, sum_t idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b |d| / avgdl)), float64 (m,).

        Source: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", with Lucene's idf.

        Args:
            terms: of the query; one that it has twice counts twice.
            counts: how often each of m documents has them, (m, t); also of documents that are not in the index.
            lengths: words of these documents, (m,).
            k1: how soon further occurrences stop counting, 1.5 mostly.
            b: 0 to 1, how much the length of a document lowers its score, 0.75 mostly.
        """
        mean = self.lengths.mean() if self.lengths.any() else 1.0
        length_penalty = k1 * (1 - b + b * lengths / mean)[:, None]
        parts = self.idf(terms) * counts * (k1 + 1) / np.where(counts > 0, counts + length_penalty, 1)
        return _ordered_sum(parts)

    def likelihood(self, terms: Sequence[str], counts: Floats, lengths: Floats, mu: float) -> Floats:
        """Query likelihoods, sum_t ln((tf + mu p(t|C)) / (|d| + mu)), float64 (m,), without words that no document has.

        Source: Zhai and Lafferty 2004, "A Study of Smoothing Methods", TOIS 22(2), Dirichlet smoothing.

        Args:
            terms: of the query; one that it has twice counts twice.
            counts: how often each of m documents has them, (m, t).
            lengths: words of these documents, (m,).
            mu: weight of the collection's shares, 1000 mostly.
        """
        shares = self.occurring(terms) / max(1.0, float(self.lengths.sum()))
        occurs = shares > 0
        parts = np.log((counts[:, occurs] + mu * shares[occurs]) / (lengths[:, None] + mu))
        return _ordered_sum(parts)


def _fill(row: Floats, having: Ints, values: Floats, places: Ints | None) -> None:
    """Write the values of documents that have a word (ascending) into the row of all documents, or of some places."""
    if places is None:
        row[having] = values
        return
    indices = np.minimum(np.searchsorted(having, places), len(having) - 1)
    has_word = having[indices] == places
    row[has_word] = values[indices[has_word]]


def count(text: str, terms: Sequence[str]) -> tuple[Floats, float]:
    """Word counts of one text, float64 (t,), and its length in words."""
    tokens = words(text)
    token_counts = Counter(tokens)
    return np.array([token_counts[term] for term in terms], dtype=np.float64), float(len(tokens))


def _ordered_sum(parts: Floats) -> Floats:
    """Add columns from left to right: one order of the sums everywhere."""
    total = np.zeros(len(parts))
    for column in parts.T:
        total = total + column
    return total
