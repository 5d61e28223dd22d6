"""DICE: the head keeps the weights that contribute most on known data; score = energy of the sparse head's logits.

Source: Sun and Li 2022, "DICE: Leveraging sparsification for out-of-distribution detection", section 3: of the
contributions W * mean z the largest are kept, and the bias whole; OpenOOD v1.5 (`dice`), which keeps what lies above
the 90th percentile of all C x d contributions, and searches nothing. The grid here are the paper's values; all of them
share one fit.

The same as in OpenOOD and as pytorch-ood's `DICE` (whose `p` is a fraction), but for float32 there and float64 here,
which can move a weight that lies at the percentile.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors._activations import checked, energies, finite
from shiftbench.plugins.detectors._rows import Head, Known, Rows

NEEDS = ("features", "head")
FIT = ("train",)
GRID: dict[str, list[object]] = {"percentile": [10.0, 30.0, 50.0, 70.0, 90.0]}
FIT_PARAMS: tuple[str, ...] = ()


class Options(declare.Options):
    percentile: float = Field(
        90.0, ge=0, lt=100, description="percentile of the contributions above which weights are kept"
    )


def fit(known: Known, params: dict[str, Any]) -> NDArray[np.float64]:
    """The mean feature vector of the training split, float64 (d,), read in blocks."""
    if not len(known.train):
        raise DataError(f"{known.train.name}: no training samples; expected one or more")
    sums = sum(finite(block).sum(axis=0, dtype=np.float64) for block in known.train.blocks())
    return np.asarray(sums / len(known.train))


def score(rows: Rows, state: NDArray[np.float64], params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies under the sparse head, float64 (n,); higher = more OOD."""
    contributions = rows.head.weight * state
    kept = contributions > np.percentile(contributions, checked(params["percentile"]))
    sparse = Head(np.where(kept, rows.head.weight, 0.0), rows.head.bias)
    return energies(rows, lambda block: sparse(finite(block)))
