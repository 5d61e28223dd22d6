"""BM25 and query likelihood against literal versions and bm25s."""

import math

import bm25s
import numpy as np
import pytest

from shiftbench.data import bag_of_words
from shiftbench.data.bag_of_words import Index

RANDOM = np.random.default_rng(0)
WORDS = [f"w{number}" for number in range(30)]
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(3, 25))) for _ in range(20)]
QUERIES = ["w1 w2", "w3", "w4 w4 w29", "w5 absent", "absent"]


def bm25(query: str, text: str, k1: float = 1.5, b: float = 0.75) -> float:
    own, mean = text.split(), sum(len(one.split()) for one in TEXTS) / len(TEXTS)
    total = 0.0
    for term in query.split():
        n = sum(term in one.split() for one in TEXTS)
        idf = math.log(1 + (len(TEXTS) - n + 0.5) / (n + 0.5))
        tf = own.count(term)
        total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(own) / mean)) if tf else 0
    return total


def likelihood(query: str, text: str, mu: float = 1000) -> float:
    own, everything = text.split(), " ".join(TEXTS).split()
    shares = {term: everything.count(term) / len(everything) for term in query.split()}
    return sum(
        math.log((own.count(term) + mu * shares[term]) / (len(own) + mu)) for term in query.split() if shares[term]
    )


def scored(query: str, places: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    index, terms = Index(TEXTS), bag_of_words.words(query)
    counts = index.counts(terms, places)
    lengths = index.lengths if places is None else index.lengths[places]
    return (index.bm25(terms, counts, lengths, 1.5, 0.75), index.likelihood(terms, counts, lengths, 1000))


@pytest.mark.parametrize("query", QUERIES)
def test_both_scores_equal_brute_force_on_twenty_documents(query: str) -> None:
    for places in (None, np.array([7, 3, 19])):
        texts = TEXTS if places is None else [TEXTS[place] for place in places]
        for found, literal in zip(scored(query, places), (bm25, likelihood), strict=True):
            assert found == pytest.approx([literal(query, text) for text in texts], abs=1e-12)


@pytest.mark.parametrize("query", QUERIES[:3])
def test_bm25s_gives_the_same_scores_but_for_a_factor(query: str) -> None:
    peer = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    peer.index(bm25s.tokenize(TEXTS, show_progress=False), show_progress=False)
    theirs = peer.get_scores(query.split())
    assert scored(query)[0] / 2.5 == pytest.approx(theirs, rel=1e-5)


def test_a_text_that_is_not_indexed_is_counted_alike() -> None:
    terms = ["w1", "w2", "absent"]
    counts = [bag_of_words.count(text, terms) for text in TEXTS]
    index = Index(TEXTS)
    assert np.array_equal(index.counts(terms), np.stack([row for row, _ in counts]))
    assert index.lengths.tolist() == [length for _, length in counts]


def test_words_and_ties() -> None:
    assert bag_of_words.words("The Q-word of a naïve User_2, NOT c") == ["word", "naïve", "user_2"]
    scores = np.array([1.0, 2.0, 2.0 + 1e-12, 1.0])
    assert bag_of_words.rank(scores).tolist() == [1, 2, 0, 3]
    nothing = Index(["", "the of"])
    assert nothing.bm25(["w"], nothing.counts(["w"]), nothing.lengths, 1.5, 0.75).tolist() == [0, 0]
