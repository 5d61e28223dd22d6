"""MCM: maximum concept matching, for dual encoders; score = -max over classes of softmax(cosine / tau).

Source: Ming et al. 2022, "Delving into out-of-distribution detection with vision-language representations" (S_MCM);
OpenOOD v1.5 (`mcm`: tau = 1, not searched); pytorch-ood `MCM`, which computes the cosines from embeddings.

The logits are the cosines, multiplied by `scale`: 1 where the model gives cosines, 100 for CLIP's released weights
(exp of their `logit_scale`). OpenOOD divides what the network gives by tau. Logits of other models are not refused; for
them this is MSP at temperature scale * tau.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.detectors._blocks import checked, confidences
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)
PARAMS: dict[str, object] = {"tau": 1.0, "scale": 1.0}


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """-max softmax, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    return -confidences(rows, checked(params["tau"], "tau") * checked(params["scale"], "scale"))
