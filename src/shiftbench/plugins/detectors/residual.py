"""Residual: length of what is left of the features outside of their principal space.

    score = ||R'(z - u)||,  u and R as in `vim`

Source: Wang et al. 2022, "ViM: out-of-distribution with virtual-logit matching", section 4; "Residual" in tables.

OpenOOD's `residual` takes 512 dimensions, whatever the features, and fits on ID validation samples; the paper and we
fit on the training samples. Not in pytorch-ood. float64 throughout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _residual
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features", "head")
FIT = ("train",)


class Options(declare.Options):
    dim: _residual.Dim = None


def fit(known: Known, params: dict[str, Any]) -> _residual.Residual:
    """The residual space."""
    return _residual.residual(known.train, known.train.head, params["dim"])


def score(rows: Rows, state: _residual.Residual, params: dict[str, Any]) -> NDArray[np.float64]:
    """The length of the residual, float64 (n,), at least 0; higher = more OOD."""
    return _blocks.scores(rows, state.norm)
