"""Few-shot adaptation: a few steps of plain SGD on the labelled support of each position, auxiliary outliers included.

    theta_t = theta - rate x gradient of [CE(support) + weight x cross-entropy to uniform of outliers], `steps` times,

from theta_(t-1) (`mode: continual`) or from the trained weights (`mode: reset`). All weights change; the network stays
in evaluation mode, so that statistics of batch normalisation do not adapt silently. Support of classes that the model
does not have is auxiliary outliers. The searched rate is `few_shot_rate` in the model's log: a rate that fits one
training ruins another.

Source: fine-tuning at test time as in Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", ICML 2017, section 2;
for drifting OOD detection Wu et al. 2023, "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV (a
reconstruction from its abstract: its equations could not be read).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.methods import _adapting

SEES = "stream"
NEEDS = ("net",)
MODES = ("continual", "reset")
TASKS = ("classification", "text_classification")


class Options(declare.Options):
    steps: int = Field(3, ge=0, description="steps at each time")
    rate: float | None = Field(None, ge=0, description="learning rate; null: what the model's trainer searched for it")
    mode: Literal["continual", "reset"] = Field(
        "continual", description="start of each time: the last, or the trained model"
    )
    weight: float = Field(0.5, ge=0, description="weight of the outliers' term of the loss")


class FewShot(_adapting.Adapting):
    """A network that learns from support."""

    def __init__(self, predictor: Any, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> None:
        super().__init__(predictor)
        if params["mode"] not in MODES:
            raise ParamsError(f"few_shot: mode is {params['mode']!r}; {suggest(params['mode'], MODES)}")
        self._params, self._inputs = params, inputs

    def adapt(self, samples: Sequence[Sample]) -> None:
        """Take the steps on labelled samples."""
        params = self._params
        if params["mode"] == "reset":
            self.reset()
        device = self.predictor.device
        inputs = torch.from_numpy(self.prepare(samples)).to(device)
        labels = torch.tensor([int(sample.fields["label"]) for sample in samples], device=device)

        def loss() -> torch.Tensor:
            return _adapting.known_and_outliers(self.net(inputs), labels, params["weight"])

        rate = _adapting.rate_of(params["rate"], self._inputs, "few_shot")
        _adapting.descend(self.net, loss, params["steps"], rate)


def wrap(predictor: Any, params: dict[str, Any], inputs: dict[Ref, Path]) -> FewShot:
    """The predictor with `reset` and `adapt`."""
    return FewShot(predictor, params, inputs)
