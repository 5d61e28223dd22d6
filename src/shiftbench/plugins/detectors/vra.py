"""VRA-P: low activations become zero, high ones are clipped; score = energy of the new logits.

Source: Xu et al. 2023, "VRA: Variational rectified activation for out-of-distribution detection", the piecewise
function VRA-P (0 where z < a; z; b where z > b); OpenOOD v1.5 (`vra`), whose percentiles and search grid these are.

a and b are percentiles of all feature values of the ID validation split together, exact, with linear interpolation.
`low: clip` raises low activations to a instead, as OpenOOD's code does, so that zeros of a ReLU become a.
pytorch-ood's `VRA` does so too, but with percentiles of each feature by itself: another detector. Scores in float64.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins import declare
from shiftbench.plugins.detectors._activations import checked, energies, finite, percentiles
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "VRA-P"
NEEDS = ("features", "head")
FIT = ("val",)
GRID: dict[str, list[object]] = {"percentile_high": [85.0, 90.0, 95.0, 99.0], "percentile_low": [1.0, 5.0, 10.0, 15.0]}
FIT_PARAMS = ("percentile_high", "percentile_low")


class Options(declare.Options):
    percentile_high: float = Field(
        90.0, ge=0, lt=100, description="percentile of the feature values above which they are clipped"
    )
    percentile_low: float = Field(
        10.0, ge=0, lt=100, description="percentile of the feature values below which they are low"
    )
    low: Literal["zero", "clip"] = Field("zero", description="low activations become zero, or the lower percentile")


def fit(known: Known, params: dict[str, Any]) -> tuple[float, float]:
    """The thresholds a and b, in the unit of the features."""
    low, high = (checked(params[name], name) for name in ("percentile_low", "percentile_high"))
    if low >= high:
        raise ParamsError(f"percentile_low: expected less than percentile_high ({high}), found {low}")
    a, b = percentiles(known.val, [low, high]).tolist()
    return a, b


def score(rows: Rows, state: tuple[float, float], params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the rectified features, float64 (n,); higher = more OOD."""
    if params["low"] not in ("zero", "clip"):
        raise ParamsError(f"low: unknown {params['low']!r}; {suggest(params['low'], ('zero', 'clip'))}")
    a, b = state
    least = a if params["low"] == "clip" else 0.0

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block).astype(np.float64)
        return block.head(np.where(features < a, least, np.minimum(features, b)))

    return energies(rows, logits)
