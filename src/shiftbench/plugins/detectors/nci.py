"""NCI: how well the centred feature points to the weights of the predicted class, and the length of the feature.

    score = -( <w_y, z - mu> / ||z - mu|| + alpha ||z||_1 ),  y = argmax of the logits

with mu the mean of the training features and w_y the row of the head of class y.

Source: Liu and Qin 2025, "Detecting out-of-distribution through the lens of neural collapse".

OpenOOD's `nci`: alpha = 1e-4, searched over 1e-4 to 0.1, as here. pytorch-ood's `NCI` is the same, with alpha = 0 as
its default. A feature that equals mu, for which both are NaN, has 0 as its first term here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Head, Known, Rows

NEEDS = ("logits", "features", "head")
FIT = ("train",)
GRID: dict[str, list[object]] = {"alpha": [1e-4, 1e-3, 1e-2, 0.1]}
FIT_PARAMS: tuple[str, ...] = ()


class Options(declare.Options):
    alpha: float = Field(1e-4, ge=0, description="weight of the feature's length")


@dataclass(frozen=True)
class Fitted:
    """Mean of the training features, float64 (d,), and the head."""

    mean: NDArray[np.float64]
    head: Head


def fit(known: Known, params: dict[str, Any]) -> Fitted:
    """The mean of the training features and the head."""
    return Fitted(_statistics.mean(known.train), known.train.head)


def score(rows: Rows, state: Fitted, params: dict[str, Any]) -> NDArray[np.float64]:
    """The negative sum of both terms, float64 (n,); higher = more OOD."""

    def confidence(block: Rows) -> NDArray[np.float64]:
        sums = np.empty(len(block))
        predicted = block.logits.argmax(axis=1)
        features = np.asarray(block.features)
        _confidence(features, state.mean, state.head.weight, predicted, params["alpha"], sums)
        _blocks.check(block, features, "features", sums)
        return sums

    return -_blocks.scores(rows, confidence)


@compiled
def _confidence(
    features: NDArray[np.float32],
    mean: NDArray[np.float64],
    weights: NDArray[np.float64],
    predicted: NDArray[np.int64],
    alpha: float,
    sums: NDArray[np.float64],
) -> None:
    """Fill in both terms of each row of features (n, d); 0 is the first of a feature that is the mean."""
    for at in range(features.shape[0]):
        along = square = size = 0.0
        for column in range(features.shape[1]):
            value = np.float64(features[at, column])
            apart = value - mean[column]
            along += weights[predicted[at], column] * apart
            square += apart * apart
            size += abs(value)
        sums[at] = alpha * size
        if square > 0:
            sums[at] += along / np.sqrt(square)
