"""ReAct: activations are clipped at a percentile of those of known data; score = energy of the new logits.

Source: Sun, Guo and Li 2021, "ReAct: Out-of-distribution detection with rectified activations", section 3, min(z, c);
OpenOOD v1.5 (`react`), whose default and search grid these are.

The threshold c is a percentile of all feature values together, exact, with linear interpolation. It is taken on the ID
validation split, as in OpenOOD; the paper and pytorch-ood's `ReAct` take it on training data. Of the same rows their
threshold is ours up to float32 rounding. Scores in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors._activations import checked, energies, finite, percentiles
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features", "head")
FIT = ("val",)
GRID: dict[str, list[object]] = {"percentile": [85.0, 90.0, 95.0, 99.0]}
FIT_PARAMS = ("percentile",)


class Options(declare.Options):
    percentile: float = Field(
        90.0, ge=0, lt=100, description="percentile of the feature values at which they are clipped"
    )


def fit(known: Known, params: dict[str, Any]) -> float:
    """The threshold c, in the unit of the features."""
    return float(percentiles(known.val, [checked(params["percentile"])])[0])


def score(rows: Rows, state: float, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the clipped features, float64 (n,); higher = more OOD."""
    return energies(rows, lambda block: block.head(np.minimum(finite(block), np.float64(state))))
