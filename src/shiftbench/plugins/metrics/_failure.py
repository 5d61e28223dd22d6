"""The sides of failure detection: wrong predictions against right ones; helper of the metrics `failure_*`."""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Sides


def sides(scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8]) -> Sides:
    """Return wrong predictions as the positive side, right ones as the negative.

    Args:
        scores: float64 (n,), higher = less trusted.
        correct: bool (n,).
        weights: uint8 (n, k).
    """
    return Sides(scores[~correct], scores[correct], weights[~correct], weights[correct])
