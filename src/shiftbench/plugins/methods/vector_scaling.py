"""Vector scaling: each logit is scaled and shifted by numbers of its class, w_c z_c + b_c.

w and b minimise the negative log-likelihood of the val split (L-BFGS from w = 1, b = 0). Predictions can change.

Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from shiftbench.base.refs import Ref
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.methods import _recalibrating
from shiftbench.plugins.methods._recalibrating import Logits, Recalibrated

SEES = "sample"
TASKS = ("classification", "text_classification", "visual_question")

needs = _recalibrating.needs


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Recalibrated:
    """The recalibrated predictor; `predictor` is not called."""
    return Recalibrated(fit)


def fit(rows: Rows) -> Callable[[Logits], Logits]:
    """The map of logits (n, C) that makes the labels of `rows` most likely."""
    logits, labels = rows.logits.astype(np.float64), rows.labels
    classes = logits.shape[1]
    truth = np.eye(classes)[labels]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, offset = parameters.reshape(2, classes)
        logs = log_softmax(logits * scale + offset, axis=1)
        error = (np.exp(logs) - truth) / len(logits)
        slope = np.concatenate([(error * logits).sum(axis=0), error.sum(axis=0)])
        return float(-(truth * logs).sum() / len(logits)), slope

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    scale, offset = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(2, classes)
    return lambda uncalibrated: uncalibrated * scale + offset
