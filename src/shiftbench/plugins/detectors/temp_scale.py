"""Temperature scaling: score = -max over classes of softmax(logits / T), with the T that calibrates the model.

Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2 (T minimises the negative
log-likelihood of the ID validation split); OpenOOD v1.5 (`temp_scaling`); pytorch-ood `TemperatureScaling`.

The likelihood is concave in 1/T, so T is where its derivative is zero (Brent's method, to rounding). OpenOOD (from T
= 1.5) and pytorch-ood (from T = 1) give L-BFGS 50 iterations at learning rate 0.01 and stop short of it: at 1.60 and
1.16 where the best T is 1.82 (our test's data). At equal T the scores are equal.

T lies in [0.1, 100]. The end is taken where the likelihood still grows there: at 0.1 where every validation sample is
classified correctly by a margin, at 100 where the logits say nothing about the labels. Validation samples of no class
of the model (label -1) do not count.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax

from shiftbench.base.errors import DataError
from shiftbench.plugins.detectors._blocks import confidences, logits
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "Temperature scaling"
NEEDS = ("logits",)
FIT = ("val",)

LOWEST, HIGHEST = 0.1, 100.0


def fit(known: Known, params: dict[str, Any]) -> float:
    """T in [0.1, 100]."""
    rows = known.val
    counted = np.flatnonzero(rows.labels >= 0)
    if not len(counted):
        raise DataError(
            f"{rows.name}: the temperature needs validation samples of the model's classes, found none among "
            f"{len(rows)}; score on a dataset with a labelled val split"
        )
    known_logits = logits(rows)[counted]
    margins = known_logits - known_logits[np.arange(len(counted)), rows.labels[counted], None]
    ends = 1 / HIGHEST, 1 / LOWEST
    if _slope(ends[0], margins) >= 0:
        return HIGHEST
    if _slope(ends[1], margins) <= 0:
        return LOWEST
    return float(1 / brentq(_slope, *ends, args=(margins,), xtol=1e-14))


def _slope(inverse: float, margins: NDArray[np.float64]) -> float:
    """The derivative of the negative log-likelihood to 1/T; margins are logits minus that of the true class."""
    return float(np.mean(np.sum(softmax(inverse * margins, axis=1) * margins, axis=1)))


def score(rows: Rows, state: float, params: dict[str, Any]) -> NDArray[np.float64]:
    """-max softmax, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    return -confidences(rows, state)
