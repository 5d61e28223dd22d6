"""NAME: the smaller the gap between the two largest logits, the more out-of-distribution.

Source: the margin of uncertainty sampling, Scheffer, Decomain and Wrobel 2001,
doi:10.1007/3-540-44816-0_31, on logits instead of probabilities.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEEDS = ("logits",)


def fit(known: Any, params: dict[str, Any]) -> None:
    """Learn nothing; a detector with `FIT = ("train",)` returns its state here, from `known.train`."""


def score(rows: Any, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """Score, float64 (n,), higher = more out-of-distribution, from `rows.logits` float32 (n, C)."""
    ascending: NDArray[np.float64] = np.sort(rows.logits.astype(np.float64), axis=1)
    return ascending[:, -2] - ascending[:, -1]
