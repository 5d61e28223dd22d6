"""Two sides and how surely each sample is called the positive one; helper of the metrics of binary classification.

The positive class is class 1 and all others are the negative side. The score of a sample is its confidence where it is
called positive, else minus its confidence: for two classes it rises with the probability of class 1, and equal logits
have equal scores, which the likelihood of the label would not give.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics.rows import Rows
from shiftbench.statistics.thresholds import Sides

POSITIVE = 1
COLUMNS = ("label", "prediction", "correct", "confidence_e9")


def sides(rows: Rows, weights: NDArray[np.uint8]) -> Sides:
    """Return scores and weights of both sides; samples without a label among the model's classes do not count.

    Args:
        rows: with the columns COLUMNS.
        weights: uint8 (n, k).
    """
    known = rows.present("correct").astype(bool)
    confidence = rows.column("confidence_e9").astype(np.float64)
    scores = np.where(rows.column("prediction") == POSITIVE, confidence, -confidence)
    positive = known & (rows.column("label") == POSITIVE)
    negative = known & ~positive
    return Sides(scores[positive], scores[negative], weights[positive], weights[negative])
