"""Free energy: score = -T log sum over classes of exp(logit / T).

Source: Liu et al. 2020, "Energy-based out-of-distribution detection", equation 4 (E(x), higher for OOD);
pytorch-ood `EnergyBased`. T is 1 in the paper's experiments. Computed in float64 from float32 logits, over all
classes of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.detectors._rows import Rows

NEEDS = ("logits",)
PARAMS: dict[str, object] = {"temperature": 1.0}


def fit(train: Rows | None, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """Return the energy, float64 (n,); higher = more OOD."""
    temperature = params["temperature"]
    energy: NDArray[np.float64] = -temperature * logsumexp(
        rows.logits.astype(np.float64) / temperature, axis=1
    )
    return energy
