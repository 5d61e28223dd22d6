"""ReAct of each modality: its features are clipped at a percentile of its own; score = energy of the joint logits.

Source: donghao51/MultiOOD, `test_video_flow.py` (`--use_react`): the 90th percentile of the features of the ID
validation split, one threshold for each modality; Sun, Guo and Li 2021 (`react`). Scores in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors._activations import checked, energies, finite, percentiles
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.systems.multiood.detectors import _slices

NEEDS = ("features", "head")
FIT = ("val",)


class Options(declare.Options):
    percentile: float = Field(90.0, ge=0, lt=100, description="percentile of the features that clips them, in percent")
    widths: _slices.Widths = ""


def fit(known: Known, params: dict[str, Any]) -> NDArray[np.float64]:
    """The threshold of each feature, float64 (d,), one value for each modality.

    Raises:
        ParamsError: the percentile lies outside [0, 100), or widths do not add up.
        DataError: there are no validation rows, or a feature is not finite.
    """
    total = known.val.features.shape[1]
    limits = np.empty(total)
    for place in _slices.columns(params["widths"], total):
        own = _slices.part(known.val, place)
        limits[place] = percentiles(own, [checked(params["percentile"])])[0]
    return limits


def score(rows: Rows, state: NDArray[np.float64], params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the clipped features, float64 (n,); higher = more OOD."""
    return energies(rows, lambda block: block.head(np.minimum(finite(block), state)))
