"""Robust pseudo-labelling: scales and offsets of normalisation learn from a network's own answers on a target.

Each epoch goes through the target in batches with a new order; the loss is generalised cross-entropy with the predicted
class for the label, so that uncertain answers pull less. Batch normalisation is in training mode while it learns, and
afterwards has the target's statistics (`bn_adapt` with a prior of 0). Labels are not read. `_targets` explains the
target.

Source: Rusak et al., "If your data distribution shifts, use self-learning", TMLR 2022, sections 3 and 4. Differs:
plain SGD with momentum 0.9 over the whole target, and the rate is an option that nothing tunes here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.losses.classification import generalised_cross_entropy
from shiftbench.plugins.methods import _targets, bn_adapt

TITLE = "robust pseudo-labels"
SEES = "sample"
NEEDS = ("net",)
TASKS = ("classification",)

needs = _targets.needs


class Options(declare.Options):
    target: _targets.Dataset = ""
    q: float = Field(0.8, gt=0, le=1, description="exponent of the generalised cross-entropy")
    epochs: fields.Epochs = 5
    batch_size: fields.BatchSize = 64
    lr: fields.LearningRate = 0.001
    momentum: fields.Momentum = 0.9
    seed: fields.Seed = 0


class RobustPseudoLabelled(_targets.Adapted):
    """A network whose normalisation was trained on its answers on the target of each position."""

    def __init__(self, predictor: Any, params: Mapping[str, Any]) -> None:
        super().__init__(predictor, params["target"])
        self._params = params

    def learn(self, target: _targets.Target, seed: int) -> None:
        """Learn from the target, then measure it."""
        words = RandomStream(self._params["seed"], "rpl", target.ref.name, str(seed))
        shown = [self.predictor.prepare(batch) for batch in _targets.images(target.folder)]
        learn(self.net, np.concatenate(shown), self.predictor.device, self._params, words)
        bn_adapt.measure(self.predictor, target.folder)


def wrap(predictor: Any, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> RobustPseudoLabelled:
    """The predictor with `at`."""
    return RobustPseudoLabelled(predictor, params)


def learn(
    network: torch.nn.Module,
    shown: np.ndarray[Any, Any],
    device: torch.device,
    params: Mapping[str, Any],
    words: RandomStream,
) -> None:
    """Train scales and offsets on prepared images, in place; the network is in evaluation mode afterwards.

    Args:
        network: with batch normalisation.
        shown: (n, ...), as the model's `prepare` gives it.
        device: where the network is.
        params: the options.
        words: orders of the epochs.
    """
    norms = bn_adapt.layers(network)
    optimizer = torch.optim.SGD([p for layer in norms for p in layer.parameters()], params["lr"], params["momentum"])
    for layer in norms:
        layer.train()
    size = min(params["batch_size"], len(shown))
    for _ in range(params["epochs"]):
        order = words.choice(len(shown))
        for start in range(0, len(order) - size + 1, size):
            batch = nets.to_inputs(shown[order[start : start + size]], device)
            optimizer.zero_grad()
            generalised_cross_entropy(network(batch), params["q"]).backward()
            optimizer.step()
    optimizer.zero_grad()
    network.eval()
