"""NNGuide: energy of the logits, guided by the similarity to training features that are weighted by their energy.

    score = -E(f) * mean of the K largest <k, E(f_i) k_i> over a bank of training samples i

with E the log of the sum of exp(logits), and k = z / ||z||.

Source: Park, Jung and Teoh 2023, "Nearest neighbor guidance for out-of-distribution detection", section 3.

OpenOOD's `nnguide`: K = 100, and a bank of a hundredth of the training samples (its `alpha`), the first that a shuffled
loader gives; here the bank has the samples whose keys have the smallest hashes, so that it is the same in every run.
Where the bank has fewer than K samples, all of them are averaged; OpenOOD fails there. pytorch-ood's `NNGuide` is the
same with K = 10 and all training samples as bank. float64 throughout.

Memory: the bank, `bank` x training samples x d x 8 bytes (12,812 x 2,048: 210 MB), and 268 MB for a block.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logsumexp

from shiftbench.base.errors import ParamsError
from shiftbench.data.splits import unit
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features")
FIT = ("train",)
FIT_PARAMS = ("bank",)
ROWS = 1024
"""Rows whose similarities to the whole bank are held at a time: 105 MB for a bank of 12,812."""


class Options(declare.Options):
    k: int = Field(100, ge=1, description="number of neighbours in the bank")
    bank: float = Field(0.01, gt=0, le=1, description="share of the training samples in the bank")


def fit(known: Known, params: dict[str, Any]) -> NDArray[np.float64]:
    """The bank: directions of training features times their energy, float64 (bank, d)."""
    train, low, parts = known.train, 0, []
    chosen = _chosen(train, params["bank"])
    for block, features in _statistics.blocks(train):
        own = chosen[(chosen >= low) & (chosen < low + len(block))] - low
        energy = logsumexp(block.logits[own].astype(np.float64), axis=1, keepdims=True)
        parts.append(energy * _statistics.directions(features[own]))
        low += len(block)
    return np.concatenate(parts)


def _chosen(train: Rows, share: float) -> NDArray[np.intp]:
    if not 0 < share <= 1:
        raise ParamsError(f"bank is {share!r}; expected a share of the training samples in (0, 1]")
    hashes = np.array([unit("nnguide", key) for key in train.keys])
    return np.sort(np.argsort(hashes, kind="stable")[: max(1, int(share * len(train)))])


def score(rows: Rows, state: NDArray[np.float64], params: dict[str, Any]) -> NDArray[np.float64]:
    """The negative guided energy, float64 (n,); higher = more OOD."""
    if params["k"] < 1:
        raise ParamsError(f"k is {params['k']!r}; expected a number of neighbours, 1 at least")
    count = min(params["k"], len(state))

    def guided(block: Rows) -> NDArray[np.float64]:
        return block.energy * _guidance(_blocks.features(block), state, count)

    return -_blocks.scores(rows, guided)


def _guidance(features: NDArray[np.float64], bank: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The mean of the `count` largest similarities of each row, float64 (n,)."""
    parts = []
    for low in range(0, len(features), ROWS):
        alike = _statistics.directions(features[low : low + ROWS]) @ bank.T
        # Sorted, since the order in which a partition leaves its part would change the last bits of the sum.
        parts.append(np.sort(np.partition(alike, -count, axis=1)[:, -count:], axis=1).mean(axis=1))
    return np.concatenate(parts)
