"""Free energy (EBO): score = -T log sum over classes of exp(logit / T).

Source: Liu et al. 2020, "Energy-based out-of-distribution detection", equation 4 (E(x), higher for OOD); OpenOOD v1.5
(`ebo`), whose search grid has T = 1 only; pytorch-ood `EnergyBased` (equal). T is 1 in the paper's experiments.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)


class Options(declare.Options):
    temperature: _blocks.Temperature = 1.0


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energy, float64 (n,) in the unit of the logits; higher = more OOD."""
    t = _blocks.checked(params["temperature"], "temperature")
    return _blocks.scores(rows, lambda block: -t * logsumexp(_blocks.logits(block) / t, axis=1))
