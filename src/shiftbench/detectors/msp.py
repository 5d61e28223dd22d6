"""Maximum softmax probability: score = -max over classes of softmax(logits).

Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples in
neural networks", section 2; pytorch-ood `MaxSoftmax` (which also returns the negative). `temperature` divides the
logits, 1 in the paper. Computed in float64 from float32 logits, over all classes of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shiftbench.detectors._rows import Rows

NEEDS = ("logits",)
PARAMS: dict[str, object] = {"temperature": 1.0}


def fit(train: Rows | None, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """Return -max softmax, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    scores: NDArray[np.float64] = -softmax(
        rows.logits.astype(np.float64) / params["temperature"], axis=1
    ).max(axis=1)
    return scores
