"""ViM: a virtual logit, made of the residual of the features, against the energy of the logits.

    score = alpha ||R'(z - u)|| - log sum over classes of exp(logit)

with u = -pinv(W) b, R the eigenvectors of the mean of (z - u)(z - u)' over the training features without the
`dim` largest, and alpha = mean of the largest logit / mean of ||R'(z - u)||, both over the training samples.

Source: Wang et al. 2022, "ViM: out-of-distribution with virtual-logit matching", section 4. The paper returns the
softmax probability of the virtual logit, which has the order of this score, as in its code.

OpenOOD has 256 dimensions. The paper's code takes half below 768 features, 512 from there and 1000 from 2,048 on.
OpenOOD searches [256, 1000], and fails to notice that 1000 of 512 features leave nothing; here that is an error, and
the search tries null and 1000. OpenOOD's search had no effect before October 2025 (its leaderboard is 256), and it
takes a general eigensolver; here it is `eigh` in float64. pytorch-ood's `ViM` has no default, and takes half of the
features for a `d` above their number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _residual
from shiftbench.plugins.detectors._residual import Residual, residual
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features", "head")
FIT = ("train",)
GRID: dict[str, list[object]] = {"dim": [None, 1000]}
FIT_PARAMS = ("dim",)


class Options(declare.Options):
    dim: _residual.Dim = None


@dataclass(frozen=True)
class Fitted:
    """The residual space, and the factor that makes the residual a logit."""

    space: Residual
    alpha: float


def fit(known: Known, params: dict[str, Any]) -> Fitted:
    """The residual space and alpha; two passes over the training features."""
    train = known.train
    space = residual(train, train.head, params["dim"])
    norms = largest = 0.0
    for block in train.blocks():
        norms += space.norm(block).sum()
        largest += block.logits.max(axis=1).sum(dtype=np.float64)
    return Fitted(space, float(largest / norms))


def score(rows: Rows, state: Fitted, params: dict[str, Any]) -> NDArray[np.float64]:
    """Virtual logit minus energy, float64 (n,); higher = more OOD."""

    def virtual(block: Rows) -> NDArray[np.float64]:
        return state.alpha * state.space.norm(block) - block.energy

    return _blocks.scores(rows, virtual)
