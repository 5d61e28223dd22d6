"""Isotonic calibration: the probability of each class becomes a rising step function of itself; logits are its log.

One function per class, against the others, fitted on the val split by pooling adjacent violators; then probabilities
are made to sum to 1. A row that all functions send to 0 becomes uniform. Predictions can change, and many probabilities
tie. Probabilities are at least 1e-12, so that the logarithm is finite.

Source: Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates";
scikit-learn `CalibratedClassifierCV(method="isotonic")`, whose regression this is.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from shiftbench.base.refs import Ref
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.methods import _recalibrating
from shiftbench.plugins.methods._recalibrating import Logits, Recalibrated

TITLE = "isotonic calibration"
SEES = "sample"
TASKS = ("classification", "text_classification", "visual_question")
LEAST = 1e-12

needs = _recalibrating.needs


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Recalibrated:
    """The recalibrated predictor; `predictor` is not called."""
    return Recalibrated(fit)


def fit(rows: Rows) -> Callable[[Logits], Logits]:
    """The map of logits (n, C) to logarithms of calibrated probabilities."""
    from sklearn.isotonic import IsotonicRegression

    shares, labels = softmax(rows.logits.astype(np.float64), axis=1), rows.labels
    steps = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(share, labels == c)
        for c, share in enumerate(shares.T)
    ]

    def change(logits: Logits) -> Logits:
        probabilities = softmax(logits, axis=1)
        calibrated = np.column_stack([step.predict(probabilities[:, c]) for c, step in enumerate(steps)])
        total = calibrated.sum(axis=1, keepdims=True)
        uniform = np.full_like(calibrated, 1 / calibrated.shape[1])
        shares = np.divide(calibrated, total, out=uniform, where=total > 0)
        logs: Logits = np.log(np.maximum(shares, LEAST))
        return logs

    return change
