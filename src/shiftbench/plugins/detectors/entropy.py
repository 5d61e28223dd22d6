"""Entropy: score = -sum over classes of p log p with p = softmax(logits), in nats.

Source: Chan, Rottmann and Gottschalk 2021, "Entropy maximization and meta classification for out-of-distribution
detection in semantic segmentation" (the softmax entropy, there per pixel); pytorch-ood `Entropy`, which clips p at
1e-7 from below (equal where no p is smaller). OpenOOD has none.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The entropy, float64 (n,) in [0, log C]; higher = more OOD."""
    return _blocks.scores(rows, _entropy)


def _entropy(block: Rows) -> NDArray[np.float64]:
    log_p = log_softmax(_blocks.logits(block), axis=1)
    entropy: NDArray[np.float64] = -np.sum(np.exp(log_p) * log_p, axis=1)
    return entropy
