"""NCI: how well the centred feature points to the weights of the predicted class, and the length of the feature.

    score = -( <w_y, z - mu> / ||z - mu|| + alpha ||z||_1 ),  y = argmax of the logits

with mu the mean of the training features and w_y the row of the head of class y.

Source: Liu and Qin 2025, "Detecting out-of-distribution through the lens of neural collapse".

OpenOOD's `nci`: alpha = 1e-4, searched over 1e-4 to 0.1, as here. pytorch-ood's `NCI` is the same, with alpha = 0 as
its default. A feature that equals mu, for which both are NaN, has 0 as its first term here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.detectors import _blocks, _statistics
from shiftbench.detectors._rows import Head, Known, Rows

NEEDS = ("logits", "features", "head")
FIT = ("train",)
PARAMS: dict[str, object] = {"alpha": 1e-4}
GRID: dict[str, list[object]] = {"alpha": [1e-4, 1e-3, 1e-2, 0.1]}
FIT_PARAMS: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """Mean of the training features, float64 (d,), and the head."""

    mean: NDArray[np.float64]
    head: Head


def fit(known: Known, params: dict[str, Any]) -> Fitted:
    """Return the mean of the training features and the head.

    Raises:
        DataError: a feature is not finite.
        ModelError: the model has no linear head.
    """
    return Fitted(_statistics.mean(known.train), known.train.head)


def score(rows: Rows, state: Fitted, params: dict[str, Any]) -> NDArray[np.float64]:
    """Return the negative sum of both terms, float64 (n,); higher = more OOD."""

    def confidence(block: Rows) -> NDArray[np.float64]:
        features = _blocks.features(block)
        weights = state.head.weight[block.logits.argmax(axis=1)]
        aligned: NDArray[np.float64] = np.einsum(
            "nd,nd->n", weights, _statistics.directions(features - state.mean)
        )
        sizes: NDArray[np.float64] = params["alpha"] * np.abs(features).sum(axis=1)
        return aligned + sizes

    return -_blocks.scores(rows, confidence)
