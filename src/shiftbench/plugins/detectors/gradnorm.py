"""GradNorm: score = -(L1 norm of the gradient of KL(uniform || softmax(logits / T)) to the last layer's weights).

Source: Huang, Geng and Li 2021, "On the importance of gradients for detecting distributional shifts in the wild"
(with its decomposition into U, from features, and V, from outputs); the released code
(deeplearning-wisc/gradnorm_ood); OpenOOD v1.5 (`gradnorm`); pytorch-ood `GradNorm`.

With logits f = W z + b, p = softmax(f / T) and C classes, KL = -1/C sum_c log p_c - log C and dKL/df_c = (p_c - 1/C)
/ T, so dKL/dW_cj = (p_c - 1/C) z_j / T, an outer product, whose L1 norm is ||z||_1 * sum_c |p_c - 1/C| / T. No
gradient has to be taken, and no head be known. The released code and OpenOOD sum over c with targets 1 instead of
1/C: C times ours, the same order. pytorch-ood is equal, given `param_filter` for the last layer's weight (by default
it takes all parameters).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features")


class Options(declare.Options):
    temperature: _blocks.Temperature = 1.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The negative norm, float64 (n,), 0 or less; higher = more OOD."""
    temperature = _blocks.checked(params["temperature"], "temperature")
    return _blocks.scores(rows, lambda block: -_norm(block, temperature))


def _norm(block: Rows, temperature: float) -> NDArray[np.float64]:
    p = softmax(_blocks.logits(block) / temperature, axis=1)
    outputs = np.abs(p - 1 / p.shape[1]).sum(axis=1)
    norm: NDArray[np.float64] = np.abs(_blocks.features(block)).sum(axis=1) * outputs / temperature
    return norm
