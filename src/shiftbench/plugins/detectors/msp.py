"""MSP: the maximum softmax probability; score = -max over classes of softmax(logits / T).

Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples in neural
networks", section 2; OpenOOD v1.5 (`msp`); pytorch-ood `MaxSoftmax` (equal). `temperature` is 1 in all of them. In
float64, where float32 rounds the confidence of samples with p > 1 - 6e-8 to 1 and ties them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._blocks import confidences
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)


class Options(declare.Options):
    temperature: _blocks.Temperature = 1.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """-max softmax, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    return -confidences(rows, params["temperature"])
