"""Helper of methods that change a network at test time: plain gradient steps, and the losses that they minimise."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import training_log
from shiftbench.evaluation import nets
from shiftbench.plugins.losses.outliers import uniform

State = dict[str, torch.Tensor]


class Adapting:
    """A predictor whose network changes; `reset` takes it back to its weights.

    Raises:
        ModelError: it has no network, so that there is nothing to change.
    """

    def __init__(self, predictor: Any) -> None:
        if not isinstance(predictor, nets.TorchPredictor):
            raise ModelError(
                "only a torch net can be adapted, and this model is a black box; choose a model that builds one"
            )
        self.predictor, self.net = predictor, predictor.net
        self._start = copy.deepcopy(self.net.state_dict())

    def reset(self) -> None:
        """Go back to the weights as they were trained."""
        self.net.load_state_dict(self._start)

    def prepare(self, samples: Sequence[Sample]) -> np.ndarray:
        """The network's input for samples, one row each."""
        return self.predictor.prepare(samples)

    def predict_prepared(self, batch: np.ndarray) -> nets.Outputs:
        """Predict a batch that `prepare` made."""
        return self.predictor.predict_prepared(batch)

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Prepare and predict."""
        return self.predict_prepared(self.prepare(samples))


def rate_of(rate: float | None, inputs: Mapping[Ref, Path], name: str) -> float:
    """A rate: the one given, else the one that the weights' trainer logged as NAME_rate.

    Raises:
        ParamsError: neither.
    """
    if rate is not None:
        return float(rate)
    weights = next((path for ref, path in inputs.items() if ref.kind == "checkpoints"), None)
    logged = training_log.of(weights).get(f"{name}_rate") if weights else None
    if not logged:
        raise ParamsError(
            f"methods.{name}.rate is not given, and the trainer of {weights} logged no {name}_rate; give a rate, or "
            "train with one that searches it (oe_shifted, mol_r)"
        )
    return logged[-1][1]


def descend(
    network: nn.Module,
    loss: Callable[[], torch.Tensor],
    steps: int,
    rate: float,
    some: Iterable[nn.Parameter] | None = None,
) -> None:
    """Take steps of plain gradient descent.

    The gradient is of all weights, whatever changes: torch 2.13 crashes on a CPU where only those of a GroupNorm over
    channels-last input are asked for.

    Args:
        network: what changes.
        loss: what is minimised, computed again before each step.
        steps: how many; 0 changes nothing.
        rate: of each.
        some: of its weights, those that change; default: all.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    changed = {id(weight) for weight in (weights if some is None else some)}
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if id(weight) in changed:
                    weight.sub_(rate * gradient)


def known_and_outliers(logits: torch.Tensor, labels: torch.Tensor, weight: float) -> torch.Tensor:
    """CE over samples with a label, plus `weight` x cross-entropy to uniform over the others (label -1)."""
    known = labels >= 0
    parts = []
    if known.any():
        parts.append(F.cross_entropy(logits[known], labels[known]))
    if not known.all():
        parts.append(weight * uniform(logits[~known]))
    return torch.stack(parts).sum()


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """The mean entropy of the predictions, in nats."""
    logs_ = logits.log_softmax(1)
    return -(logs_.exp() * logs_).sum(1).mean()


def norms(network: nn.Module) -> list[nn.Parameter]:
    """The scales and offsets of a network's normalisation layers.

    Raises:
        ModelError: it has none.
    """
    kinds = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
    parameters = [p for m in network.modules() if isinstance(m, kinds) for p in m.parameters()]
    if not parameters:
        raise ModelError(f"{type(network).__name__} has no normalisation layer whose scale could adapt")
    return parameters


def follow(network: nn.Module, inputs: torch.Tensor, steps: int, rate: float) -> None:
    """Minimise the entropy of predictions by the scales and offsets of normalisation layers (TENT)."""
    descend(network, lambda: entropy(network(inputs)), steps, rate, norms(network))
