"""MCM: maximum concept matching, for dual encoders; score = -max over classes of softmax(cosine / tau).

Source: Ming et al. 2022, "Delving into out-of-distribution detection with vision-language representations" (S_MCM);
OpenOOD v1.5 (`mcm`: tau = 1, not searched); pytorch-ood `MCM`, which computes the cosines from embeddings.

The logits are the cosines, multiplied by `scale`, exp of the `logit_scale` of CLIP. OpenOOD divides the logits by tau.
Logits of other models are not refused; for them this is MSP at temperature scale * tau.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors._blocks import checked, confidences
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)


class Options(declare.Options):
    tau: float = Field(1.0, gt=0, description="temperature of the softmax of the cosines")
    scale: float = Field(
        1.0, gt=0, description="factor of the cosines in the logits; 100 for CLIP's released checkpoints"
    )


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """-max softmax, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    return -confidences(rows, checked(params["tau"], "tau") * checked(params["scale"], "scale"))
