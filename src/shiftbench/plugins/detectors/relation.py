"""Relation: score = -(sum over training samples of the relation k to the sample), features and predictions alike.

Source: Kim, Yun and Song 2023, "Neural relation graph: A unified framework for identifying label noise and outlier
data", by its released code (snu-mllab/Neural-Relation-Graph: relation.py, kernel `cos_p`; detect_ood.py); OpenOOD
v1.5 (`relation`), whose default and search grid these are. pytorch-ood has none.

k(x, x') = (max(0, cos(z, z')) * <p, p'>)^pow with features z and p = softmax(logits), and 0 where the base is
`threshold` or less. The released code scores 1 / (1e-6 + sum), OpenOOD's confidence is the sum: the same
order. A feature vector of zeros has cosine 0 to all (NaN in the released code, 0 in OpenOOD, which adds 1e-10 to
squared norms).

`hop` counts in the order of the keys, as the released code's option does. OpenOOD takes all training samples: of 1.28 M
with d = 2,048 and C = 1,000, one core takes 0.4 s per sample (measured). In float64, since a relation that crosses the
threshold by rounding would move the score by 0.03. Training features stay memory-mapped. In addition to blocks of
16,384 of them and of the samples (0.4 GB each) there are 0.3 GB of relations.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features")
FIT = ("train",)
GRID: dict[str, list[object]] = {"pow": [1, 2, 4, 6, 8]}
FIT_PARAMS = ("hop",)

CHUNK = 1_024
"""Samples whose relations to a block of training samples are held at a time."""

Floats = NDArray[np.float64]


class Options(declare.Options):
    pow: float = Field(1, gt=0, description="exponent of a relation")
    threshold: float = Field(0.03, ge=0, lt=1, description="relation, before the exponent, up to which it counts as 0")
    hop: int = Field(1, ge=1, description="every hop-th training sample counts; 1: all")


def fit(known: Known, params: dict[str, Any]) -> Rows:
    """The training rows that are related to, as views of what is there."""
    train, hop = known.train, params["hop"]
    if not len(train):
        raise DataError(f"{train.name}: relations need training samples, found none; keep features of train")
    if hop < 1:
        raise ParamsError(f"hop: expected 1 or more, found {hop}")
    return replace(
        train,
        table=train.table.take(pa.array(np.arange(0, len(train), hop))),
        beside=train.features[::hop],
        kept_logits=None if train.kept_logits is None else train.kept_logits[::hop],
    )


def score(rows: Rows, state: Rows, params: dict[str, Any]) -> Floats:
    """The negative sum of relations, float64 (n,) in [-n_train, 0]; higher = more OOD."""
    _blocks.checked(params["pow"], "pow")
    return _blocks.scores(rows, lambda block: -_relations(block, state, params))


def _relations(block: Rows, bank: Rows, params: dict[str, Any]) -> Floats:
    """The sum of the relations of each row of a block to all rows of the bank, float64 (m,)."""
    features, p = _vertices(block)
    total = np.zeros(len(block))
    for others in bank.blocks():
        their_features, their_p = _vertices(others)
        for low in range(0, len(block), CHUNK):
            part = slice(low, low + CHUNK)
            relations = np.maximum(features[part] @ their_features.T, 0)
            relations *= p[part] @ their_p.T
            relations[relations <= params["threshold"]] = 0
            total[part] += np.sum(relations ** params["pow"], axis=1)
    return total


def _vertices(block: Rows) -> tuple[Floats, Floats]:
    """Features of norm 1 (or 0) and softmax probabilities."""
    features = _blocks.features(block)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    features /= np.where(norms > 0, norms, 1)
    return features, softmax(_blocks.logits(block), axis=1)
