"""TENT: the scales and offsets of normalisation layers follow the test batches, whose entropy they minimise.

Source: Wang et al., "Tent: Fully Test-Time Adaptation by Entropy Minimization", ICLR 2021, section 3. As there, a
batch is predicted first and one step is taken on it then, without labels, and nothing is reset in a stream. Differs:
plain SGD without momentum, and statistics of batch normalisation stay the trained ones (theirs are the test batch's):
meant for GroupNorm.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.methods import _adapting

SEES = "stream"
NEEDS = ("net",)
TASKS = ("classification", "text_classification")


class Options(declare.Options):
    rate: float | None = Field(
        None, ge=0, description="learning rate; null: `tent_rate` of the checkpoint's training log"
    )
    steps: int = Field(1, ge=0, description="steps on a batch")


class Tent(_adapting.Adapting):
    """A network whose normalisation follows what it sees."""

    def __init__(self, predictor: Any, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> None:
        super().__init__(predictor)
        self._params, self._inputs = params, inputs
        self._rate: float | None = None

    def predict_prepared(self, batch: np.ndarray) -> nets.Outputs:
        """Predict a batch, then take a step on it."""
        if self._rate is None:
            self._rate = _adapting.rate_of(self._params["rate"], self._inputs, "tent")
        outputs = super().predict_prepared(batch)
        seen = torch.from_numpy(batch).to(self.predictor.device)
        _adapting.follow(self.net, seen, self._params["steps"], self._rate)
        return outputs


def wrap(predictor: Any, params: dict[str, Any], inputs: dict[Ref, Path]) -> Tent:
    """The predictor with `reset`."""
    return Tent(predictor, params, inputs)
