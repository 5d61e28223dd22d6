"""ASH-B of each modality: its largest activations become equal shares of its sum; score = energy of the joint logits.

Source: donghao51/MultiOOD, `test_video_flow.py` (`--use_ash`), 90 percent are dropped; Djurisic et al. 2023 (`ash_b`,
which says how ties are broken). Scores in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors._activations import energies, finite, largest
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.systems.multiood.detectors import _slices

NEEDS = ("features", "head")


class Options(declare.Options):
    percentile: float = Field(90.0, ge=0, lt=100, description="share of the activations that are dropped, in percent")
    widths: _slices.Widths = ""


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the changed features, float64 (n,); higher = more OOD.

    Raises:
        ParamsError: the percentile lies outside [0, 100), or keeps nothing, or widths do not add up.
        DataError: a feature is not finite.
    """
    parts = _slices.columns(params["widths"], rows.features.shape[1])

    def logits(block: Rows) -> NDArray[np.float64]:
        features = finite(block)
        shaped = np.zeros(features.shape)
        for place in parts:
            own = np.ascontiguousarray(features[:, place])
            marks = largest(own, params["percentile"])
            shares = own.sum(axis=1, dtype=np.float64) / np.count_nonzero(marks, axis=1)
            shaped[:, place] = np.where(marks, shares[:, None], 0.0)
        return block.head(shaped)

    return energies(rows, logits)
