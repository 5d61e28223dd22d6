"""BatchNorm adaptation: means and variances of normalisation layers are those of unlabelled target images.

    mean = N/(N + n) source mean + n/(N + n) target mean, and the same for the variance

N is `prior`, n the number of target images. The statistics are measured in training mode, so that each layer gets
batches that were normalised by themselves, each weighted by its size. Labels are not read. `_targets` explains the
target.

Source: Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", NeurIPS
2020, section 3, equation 2. Differs: n is all of the target, where they also adapt on single batches; variances are
means of those within batches.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.methods import _targets

TITLE = "BatchNorm adaptation"
SEES = "sample"
NEEDS = ("net",)
TASKS = ("classification",)

needs = _targets.needs


class Options(declare.Options):
    target: _targets.Dataset = ""
    prior: float = Field(
        0, ge=0, description="N, how many images the source's statistics count as; 0: they have no part"
    )


class BatchNormAdapted(_targets.Adapted):
    """A network whose statistics are those of the target of each position."""

    def __init__(self, predictor: Any, params: Mapping[str, Any]) -> None:
        super().__init__(predictor, params["target"])
        self._prior = params["prior"]

    def learn(self, target: _targets.Target, seed: int) -> None:
        """Measure the target, which needs no draws."""
        del seed
        measure(self.predictor, target.folder, self._prior)


def wrap(predictor: Any, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> BatchNormAdapted:
    """The predictor with `at`."""
    return BatchNormAdapted(predictor, params)


def layers(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The layers of batch normalisation that keep statistics.

    Raises:
        ModelError: there is none.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        raise ModelError(f"{type(network).__name__} has no batch normalisation whose statistics could adapt")
    return norms


def measure(predictor: nets.TorchPredictor, folder: Path, prior: float = 0) -> None:
    """Set the statistics of a network's batch normalisation from target images, in place."""
    norms: list[Any] = layers(predictor.net)
    before = [(layer.running_mean.clone(), layer.running_var.clone(), layer.momentum) for layer in norms]
    count = 0
    for layer in norms:
        layer.train()
    with torch.no_grad():
        for batch in _targets.images(folder):
            count += len(batch)
            for layer in norms:
                layer.momentum = len(batch) / count
            predictor.net(nets.to_inputs(predictor.prepare(batch), predictor.device))
    share = count / (count + prior)
    for layer, (mean, variance, momentum) in zip(norms, before, strict=True):
        layer.running_mean.mul_(share).add_((1 - share) * mean)
        layer.running_var.mul_(share).add_((1 - share) * variance)
        layer.momentum = momentum
        layer.eval()
