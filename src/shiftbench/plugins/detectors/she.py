"""SHE: inner product of the features with the stored pattern of the predicted class.

    score = -<z, S_y>,  y = argmax of the logits

with S_c the mean feature of the training samples of class c that are classified correctly.

Source: Zhang et al. 2023, "Out-of-distribution detection based on in-distribution data patterns memorization with
modern Hopfield energy", the simplified Hopfield energy (SHE) with the inner product.

OpenOOD's `she` with its default metric `inner_product` and pytorch-ood's `SHE` are the same. A class of which no
training sample is classified correctly has no pattern: OpenOOD scores what is predicted as such NaN, pytorch-ood
refuses to fit, and here it is an error once such a sample is scored.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features")
FIT = ("train",)


def fit(known: Known, params: dict[str, Any]) -> NDArray[np.float64]:
    """The patterns, float64 (C, d), NaN for a class without a correctly classified sample."""
    train = known.train
    shape = (train.logits.shape[1], train.features.shape[1])
    sums, counts = np.zeros(shape), np.zeros((shape[0], 1))
    for block, features in _statistics.blocks(train):
        right = block.logits.argmax(axis=1) == block.labels
        class_sums = _statistics.sums_by_class(features[right], block.labels[right], shape[0])
        sums, counts = sums + class_sums[0], counts + class_sums[1][:, None]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def score(rows: Rows, state: NDArray[np.float64], params: dict[str, Any]) -> NDArray[np.float64]:
    """The negative inner product, float64 (n,); higher = more OOD."""
    lacking: NDArray[np.bool_] = np.isnan(state[:, 0])

    def alike(block: Rows) -> NDArray[np.float64]:
        predicted = block.logits.argmax(axis=1)
        if lacking[predicted].any():
            at = int(np.argmax(lacking[predicted]))
            raise DataError(
                f"{rows.name}: sample {block.keys[at]!r} is predicted as class {predicted[at]} (counted from 0), of "
                "which no training sample is classified correctly; expected one; train longer, or on more samples"
            )
        products = np.einsum("nd,nd->n", _blocks.features(block), state[predicted])
        return np.asarray(products, dtype=np.float64)

    return -_blocks.scores(rows, alike)
