"""Statistics of the tokens of an answer: entropies, log-probabilities, and the part that is thinking.

An answer of T tokens, its end included, has two phases, `thinking` and `answer`, with the token that closes the
thinking (`</think>`) between them, which is in neither. Without that token all T are thinking.

Source: PEAR, arXiv 2510.08026, section 3: means over the tokens 1 to k - 1 and k + 1 to T, k the closing token. The
mean over a phase without tokens, of which the paper says nothing, is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class TokenStatistics(NamedTuple):
    """Statistics of the T tokens of one answer, each under the distribution that it was drawn from.

    Attributes:
        entropies: float (T,) in nats, of the whole distribution that was sampled from; at temperature 1 where none was.
        log_probabilities: float (T,) in nats, of the token that was drawn.
        closing: which token closes the thinking, 0 to T - 1; None: none does.
        truncated: the answer was cut at the most tokens that it may have.
    """

    entropies: Floats
    log_probabilities: Floats
    closing: int | None
    truncated: bool


def phases(length: int, closing: int | None) -> tuple[slice, slice]:
    """Which of `length` tokens are thinking, and which are the answer."""
    if closing is None:
        return slice(0, length), slice(length, length)
    return slice(0, closing), slice(closing + 1, length)


def phase_means(values: Floats, closing: int | None) -> tuple[float, float]:
    """Means of a quantity over thinking and over the answer; 0 for a phase without tokens.

    Args:
        values: float (T,), one for each token.
        closing: which token closes the thinking.

    Example:
        >>> phase_means(np.array([0.5, 1.5, 9.0, 0.25]), 2)
        (1.0, 0.25)
    """
    thinking, answer = (values[part] for part in phases(len(values), closing))
    return _mean(thinking), _mean(answer)


def _mean(values: Floats) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else 0.0
