"""MOL, a reconstruction (`mol_r`): meta-learning of an initialisation that adapts to a drift in a few steps.

    theta_0 = theta;  theta_(j+1) = theta_j - eta x gradient of L(theta_j; support, outliers),  j < J
    theta <- Adam on the gradient of L(theta_J; query, other outliers),  L = CE + weight x R

all images of a task under the drift at one strength, drawn from [low, high]. R has a weight of 0.5 as cross-entropy to
uniform, of 0.1 as energy hinge. `order: 1` takes the gradient at theta_J for that at theta. With `strengths` above 1
theta is adapted along them, J steps each, and the losses after each are summed: the continuity variant.

Source: the idea of Wu et al. 2023, "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV,
arXiv:2309.11705, of which only the abstract could be read: the equations are those of Finn, Abbeel and Levine,
"Model-Agnostic Meta-Learning", ICML 2017, section 2 and 5.2 (first order). No number of it is the paper's. The inner
rate is logged as `few_shot_rate`, which is what deployment takes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn
from torch.func import functional_call

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import energy_hinge
from shiftbench.plugins.methods import _adapting
from shiftbench.plugins.trainers import _loop, _outliers
from shiftbench.systems.mol_caood.trainers import _drift

REGULARISERS = ("uniform", "energy")
TASKS = ("classification",)
uses = _drift.uses
Weights = dict[str, torch.Tensor]
Loss = Callable[[Weights], torch.Tensor]


class Options(declare.Options):
    outliers: _drift.Outliers = "animal_shape"
    weight: _drift.Weight = 0.5
    regulariser: Literal["uniform", "energy"] = Field(
        "uniform", description="R: cross-entropy to uniform, or the energy hinge"
    )
    margin_in: float = Field(-5.0, description="energy above which ID samples cost (`regulariser: energy`)")
    margin_out: float = Field(-1.0, description="energy below which outliers cost (`regulariser: energy`)")
    drift: _drift.Shift = "rotate_degrees"
    low: _drift.Low = 0.0
    high: _drift.High = 90.0
    inner_steps: int = Field(2, ge=0, description="J, inner steps")
    inner_rate: float = Field(0.05, ge=0, description="eta, rate of the inner steps")
    order: Literal[1, 2] = Field(1, description="1: first order; 2: gradients go through the inner steps")
    strengths: int = Field(1, ge=1, description="strengths of a task, rising; theta is adapted along them")
    support: int = Field(64, ge=1, description="training samples of a support")
    epochs: fields.Epochs = 8
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.002
    schedule: fields.Schedule = "constant"
    weight_decay: fields.WeightDecay = 0.0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the outliers' shards."""
    own = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*own, *_outliers.needs(params)]


def adapt(weights: Weights, loss: Loss, steps: int, rate: float, *, second: bool) -> Weights:
    """Weights after inner steps, as a function of those before.

    Args:
        weights: theta.
        loss: of weights.
        steps: J.
        rate: eta.
        second: let gradients flow through the steps; else each is taken as a constant.
    """
    fast = dict(weights)
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(fast), list(fast.values()), create_graph=second)
        pairs = zip(fast.items(), gradients, strict=True)
        fast = {name: value - rate * gradient for (name, value), gradient in pairs}
    return fast


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The meta-trained initialisation.

    Raises:
        ParamsError: an option outside what is allowed, or a network with batch normalisation.
    """
    params = job.params
    if params["regulariser"] not in REGULARISERS or params["order"] not in (1, 2):
        hint = suggest(params["regulariser"], REGULARISERS)
        raise ParamsError(f"mol_r: order is 1 or 2, and the regulariser one of two ({hint})")
    model = _loop.fresh_net(job)
    _drift.refuse_statistics(model, "mol_r")
    task = Task(job)
    _loop.fit(job, model, task)
    job.log(0, "few_shot_rate", params["inner_rate"])
    return dict(model.state_dict())


class Task:
    """The loss of one meta-training step: adapt to support under a strength, then predict the query under it."""

    def __init__(self, job: TrainJob) -> None:
        self._params = job.params
        self._outliers, self._drift = _outliers.load(job), _drift.Drift.of(job)
        self._inputs, self._labels = _loop.data(job, "train")

    def __call__(
        self, model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        """The loss of the adapted weights on a batch, the query."""
        params = self._params
        weights: Weights = dict(model.named_parameters())
        losses = []
        for strength in self._drift.draw(rng, params["strengths"]):
            rows = rng.choice(len(self._labels), params["support"])
            if params["inner_steps"]:
                inner = self._loss(model, self._inputs[rows], self._labels[rows], strength, rng)
                weights = adapt(
                    weights, inner, params["inner_steps"], params["inner_rate"], second=params["order"] == 2
                )
            losses.append(self._loss(model, batch, labels, strength, rng)(weights))
        return torch.stack(losses).sum()

    def _loss(
        self, model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, strength: float, rng: RandomStream
    ) -> Loss:
        """L of weights on known samples and as many fresh outliers, all under one strength."""
        unknown = self._outliers.draw(rng, len(batch))
        key = str(rng.integers(0, 1 << 30))
        inputs = _loop.tensor(self._drift.at(np.concatenate([batch, unknown]), strength, key), model)
        targets = _drift.labels_of(labels.to(inputs.device), len(unknown))

        def loss(weights: Weights) -> torch.Tensor:
            return self._total(functional_call(model, weights, (inputs,)), targets)

        return loss

    def _total(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        params = self._params
        if params["regulariser"] == "uniform":
            return _adapting.known_and_outliers(logits, targets, params["weight"])
        known, unknown = logits[targets >= 0], logits[targets < 0]
        margins = params["margin_in"], params["margin_out"]
        hinge = energy_hinge(known, unknown, *margins)
        weight: float = params["weight"]
        return cross_entropy(known, targets[targets >= 0]) + weight * hinge
