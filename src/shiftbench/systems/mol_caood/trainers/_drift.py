"""Shared parts of trainers for drifting data: shifts of a drawn strength, and the rate at which models adapt best.

`low: 0, high: 0` leaves images as they are. The rate of an adaptation is searched on a validation drift: val images
under several strengths, a few of them shown as labelled support at each strength and the others predicted; what is best
by mean accuracy is logged as `NAME_rate` next to the weights, with the curve that it came from (`NAME_accuracy`, step
i: the i-th rate of the grid; `NAME_rates`, likewise). Tested data take no part in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.data import splits
from shiftbench.evaluation import apply_shift, apply_torch
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.methods import _adapting
from shiftbench.plugins.trainers import _loop, _outliers

Inputs = npt.NDArray[Any]
Outliers = Annotated[str, Field(description="data set of the auxiliary outliers")]
Weight = Annotated[float, Field(ge=0, description="weight of the outliers' term of the loss")]
Shift = Annotated[str, Field(description="shift of the drift")]
Low = Annotated[float, Field(description="lowest strength of the drift, a severity of the shift")]
High = Annotated[float, Field(description="highest strength of the drift, a severity of the shift")]


class Options(declare.Options):
    outliers: Outliers = "animal_shape"
    weight: Weight = 0.5
    drift: Shift = "rotate_degrees"
    low: Low = 0.0
    high: High = 90.0
    search: list[float] = Field(
        [], max_length=2, description="[lowest, highest] strength of the validation drift; none: low, high"
    )
    search_strengths: int = Field(4, ge=1, description="strengths of the validation drift")
    rates: list[Annotated[float, Field(ge=0)]] = Field(
        [0.001, 0.002, 0.005, 0.01, 0.05], description="rates that are tried"
    )
    adapt_steps: int = Field(3, ge=0, description="steps of an adaptation")
    shots: int = Field(5, ge=1, description="labelled samples of each class at a strength")
    adapt_outliers: int = Field(64, ge=0, description="outliers at a strength")


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The drift's files, whose code decides the checkpoint."""
    name = params["drift"]
    in_torch = apply_shift.name_in_torch(registry.read("shifts", name))
    return [("shifts", name), *([(apply_shift.TORCH, in_torch)] if in_torch else [])]


@dataclass(frozen=True, slots=True)
class Drift:
    """A shift of images as a network takes them, at strengths from `low` to `high`."""

    shift: ModuleType
    low: float
    high: float
    seed: int

    @classmethod
    def of(cls, job: TrainJob) -> Drift:
        """The drift of a trainer.

        Raises:
            ParamsError: strengths that do not rise or are outside of the shift's range.
        """
        params, shift = job.params, registry.find("shifts", job.params["drift"])
        low, high = float(params["low"]), float(params["high"])
        if not shift.RANGE[0] <= low <= high <= shift.RANGE[1]:
            raise ParamsError(
                f"the drift goes from {low:g} to {high:g}; {params['drift']} allows {shift.RANGE[0]:g} to "
                f"{shift.RANGE[1]:g}"
            )
        return cls(shift, low, high, job.seed)

    def draw(self, rng: RandomStream, count: int) -> list[float]:
        """Strengths, uniform, in ascending order."""
        return sorted(self.low + (self.high - self.low) * float(u) for u in rng.uniform(count))

    def at(self, images: Inputs, strength: float, key: str = "") -> Inputs:
        """Prepared images uint8 (n, c, h, w) under the shift; strength 0 goes the same way.

        Args:
            images: as the model's `prepare` gives them.
            strength: the severity.
            key: of the random words, where the shift takes any.

        Raises:
            ParamsError: the model prepares other inputs.
        """
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ParamsError(
                f"a drift shifts inputs uint8 (n, channels, h, w), and this model prepares {images.dtype} "
                f"{images.shape}; choose another model"
            )
        words = [RandomStream(self.seed, "drift", key, str(i)) for i in range(len(images))]
        shifted = apply_torch.apply_batch(
            self.shift, torch.from_numpy(images), strength, words, registry.defaults(self.shift)
        )
        return shifted.numpy()


def labels_of(known: torch.Tensor, outliers: int) -> torch.Tensor:
    """Labels of known samples, with -1 for as many outliers behind them."""
    return torch.cat([known, torch.full((outliers,), -1, dtype=known.dtype, device=known.device)])


def refuse_statistics(model: nn.Module, trainer: str) -> None:
    """Refuse batch normalisation, whose statistics would adapt without a step."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        raise ParamsError(
            f"{trainer}: the statistics of batch normalisation adapt without a step, so that no adaptation would not "
            "be none; choose a model with `norm: group`"
        )


# ---------------------------------------------------------------------- the rate


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation drift.

    Attributes:
        drift, strengths: what the images are put under, in order.
        support: support of each strength: inputs and labels, -1 for outliers; not shifted yet.
        inputs, labels: what is predicted at each strength.
    """

    drift: Drift
    strengths: tuple[float, ...]
    support: tuple[tuple[Inputs, torch.Tensor], ...]
    inputs: Inputs
    labels: torch.Tensor

    @classmethod
    def of(cls, job: TrainJob, drift: Drift, outliers: _outliers.Outliers) -> Validation:
        """Cut the val split into support and what is predicted.

        Raises:
            ParamsError: too few val samples.
        """
        params = job.params
        low, high = params["search"] or (drift.low, drift.high)
        strengths = tuple(float(s) for s in np.linspace(low, high, params["search_strengths"]))
        samples = job.samples("val")
        inputs, labels = _loop.data(job, "val")
        of = len(samples) // (params["shots"] * len(job.classes))
        if of <= len(strengths):
            raise ParamsError(
                f"{job.dataset}/val has {len(samples)} samples, too few for {len(strengths)} times {params['shots']} "
                "shots per class and a test; raise its subset, or lower search_strengths"
            )
        at = {sample.key: row for row, sample in enumerate(samples)}
        classes = {sample.key: sample.fields["label"] for sample in samples}
        parts = [[at[key] for key in splits.part(classes, part, of)] for part in range(of)]
        rng = RandomStream(job.seed, job.trainer, job.dataset, "search")
        support = []
        for rows in parts[: len(strengths)]:
            unknown = outliers.draw(rng, params["adapt_outliers"])
            targets = labels_of(labels[rows], len(unknown))
            support.append((np.concatenate([inputs[rows], unknown]), targets))
        rest = sorted(row for rows in parts[len(strengths) :] for row in rows)
        return cls(drift, strengths, tuple(support), inputs[rest], labels[rest])


Adapt = Callable[[nn.Module, float, Inputs, torch.Tensor, Inputs], None]
"""(network, rate, support under the shift, its labels, what is predicted then): changes the network."""


def search(job: TrainJob, model: nn.Module, outliers: _outliers.Outliers) -> None:
    """Log the best rates of few-shot adaptation and of TENT for a trained network.

    Args:
        job: its `rates`, `search`, `adapt_steps`, `weight` are read.
        model: trained; not changed.
        outliers: to draw from.
    """
    place = Validation.of(job, Drift.of(job), outliers)
    params = job.params

    def few_shot(model: nn.Module, rate: float, support: Inputs, labels: torch.Tensor, _: Inputs) -> None:
        inputs = torch.from_numpy(support)

        def loss() -> torch.Tensor:
            return _adapting.known_and_outliers(model(inputs), labels, params["weight"])

        _adapting.descend(model, loss, params["adapt_steps"], rate)

    def entropy(model: nn.Module, rate: float, _: Inputs, __: torch.Tensor, queries: Inputs) -> None:
        _adapting.follow(model, torch.from_numpy(queries), 1, rate)

    for name, adapt in (("few_shot", few_shot), ("tent", entropy)):
        log_best(job, name, params["rates"], [walk(model, place, r, adapt) for r in params["rates"]])


def walk(model: nn.Module, place: Validation, rate: float, adapt: Adapt) -> float:
    """The mean accuracy along a drift of a copy of the network that adapts before each test."""
    own = copy.deepcopy(model).cpu().eval()
    accuracies = []
    for number, (strength, (images, labels)) in enumerate(zip(place.strengths, place.support, strict=True)):
        support = place.drift.at(images, strength, f"shown {number}")
        queries = place.drift.at(place.inputs, strength, f"seen {number}")
        adapt(own, rate, support, labels, queries)
        accuracies.append(_loop.accuracy(own, queries, place.labels))
        own.eval()
    return float(np.mean(accuracies))


def log_best(job: TrainJob, name: str, rates: Sequence[float], accuracies: Sequence[float]) -> None:
    """Log a validation curve and the rate of its highest point, the first of equals."""
    for number, (rate, accuracy) in enumerate(zip(rates, accuracies, strict=True)):
        job.log(number, f"{name}_rates", rate)
        job.log(number, f"{name}_accuracy", accuracy)
    job.log(0, f"{name}_rate", rates[int(np.argmax(accuracies))])
