"""Hashed TF-IDF of texts: words are hashed, so that no vocabulary has to be kept.

Source: Sparck Jones 1972; sublinear term frequency 1 + log(tf), smooth idf log((1 + n) / (1 + df)) + 1 and
rows of length 1 as in scikit-learn's TfidfTransformer. Hashing as in Weinberger et al., ICML 2009,
without the random sign; with 2^16 columns some pairs of words share one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse


def counts(texts: Sequence[str], columns: int, ngrams: int) -> Any:
    """Counts of each hashed n-gram, sparse float64 (n, columns).

    Args:
        texts: n texts.
        columns: number of hash values.
        ngrams: longest n-gram in words; 1 is single words.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(n_features=columns, ngram_range=(1, ngrams), alternate_sign=False, norm=None)
    return vectorizer.transform(texts)


def idf(counted: Any) -> npt.NDArray[np.float64]:
    """The inverse document frequency of each column, at least 1."""
    seen = np.bincount(counted.indices, minlength=counted.shape[1])
    weights: npt.NDArray[np.float64] = np.log((1 + counted.shape[0]) / (1 + seen)) + 1
    return weights


def weigh(counted: Any, weights: npt.NDArray[np.float64]) -> Any:
    """Sparse TF-IDF rows of length 1 (a text without words: all 0)."""
    rows = sparse.csr_matrix(counted, copy=True)
    rows.data = (1 + np.log(rows.data)) * weights[rows.indices]
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    return sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ rows
