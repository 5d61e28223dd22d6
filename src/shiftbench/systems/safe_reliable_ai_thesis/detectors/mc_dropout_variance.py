"""MC-dropout variance: how far the answers of models that dropout draws lie apart, mean over classes of the variance.

Source: Gal and Ghahramani 2016, "Dropout as a Bayesian approximation", section 4 and figure 4; masks at the last layer,
see _dropout.py.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.systems.safe_reliable_ai_thesis.detectors import _dropout

NEEDS = ("features", "head")
Options = _dropout.Options


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The variance over passes, float64 (n,) in [0, 1/4]; higher = less trusted."""
    head = rows.head
    parts = [_variance(block.features, head.weight, head.bias, params) for block in rows.blocks()]
    return np.concatenate(parts) if parts else np.zeros(0)


def _variance(
    features: NDArray[np.float32], weight: NDArray[np.float64], bias: NDArray[np.float64], params: dict[str, Any]
) -> NDArray[np.float64]:
    passes = _dropout.shares(features, weight, bias, params["rate"], params["passes"])
    variance: NDArray[np.float64] = np.stack(list(passes)).var(axis=0).mean(axis=1)
    return variance
