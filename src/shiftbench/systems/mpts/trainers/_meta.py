"""Meta-training over a distribution of tasks: in each iteration a sampler chooses the candidates to learn from.

    candidates -> sampler.choose -> one inner step each -> risks -> sampler.loss -> Adam -> sampler.learn

Candidates, and the points of all of them, are words of (seed, dataset, block of iterations): trainers of one seed see
the same ones, those of another seed see others. Every `every` iterations the log has the report of the sampler and the
share of chosen tasks by place, fifths of two numbers' ranges (`chosen/AMPLITUDE/PHASE`, of pictures
`chosen/ANGLE/CONTRAST`); every `validate` iterations the mean risk of the val tasks (`val_risk`), uniform ones that all
trainers share, after as many steps as at test time. The log ends with `task_evaluations`, the number of inner loops.

Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2; constants and the sum over risks are those of MPTS
(thu-rllab/MPTS, sinusoid/main.py, trainer_maml.py). We differ: there candidates are drawn from the number of the
iteration, the same whatever the seed, and the best weights are chosen on the test tasks.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.mpts.models import _meta_net, _second_order
from shiftbench.systems.mpts.trainers import _candidates

TASKS = ("few_shot_regression", "few_shot_classification")

KEEP = ("best", "last")
CELLS = 5
"""Parts of each number's range, of what is logged."""


class Options(declare.Options):
    distribution: Literal["sinusoids", "pictures"] = Field("sinusoids", description="distribution of the candidates")
    iterations: int = Field(20000, ge=1, description="iterations of meta-training")
    batch_size: int = Field(16, ge=1, description="tasks of a batch")
    candidates: int = Field(32, ge=1, description="candidates for a batch, at least `batch_size`")
    shots: int = Field(10, ge=1, description="support points of a task; of pictures, of each class")
    inner_lr: float = Field(0.001, ge=0, description="rate of the inner step")
    lr: fields.LearningRate = 0.001
    every: int = Field(100, ge=1, description="iterations between two entries of the log")
    validate_: int = Field(500, ge=1, alias="validate", description="iterations between two validations")
    keep: Literal["best", "last"] = Field(
        "best", description="state that is kept: that of the lowest val risk, or the last"
    )


class TaskSampler(Protocol):
    """Chooses the tasks to learn from, and weighs their risks."""

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices int64 (b,) of the candidates, float32 (m, d), to evaluate."""

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Scalar to minimise, from the risks (b,) of the chosen tasks."""

    def learn(self, tasks: torch.Tensor, risks: torch.Tensor) -> None:
        """Learn from the chosen tasks (b, d) and their risks (b,), without gradients."""

    def report(self) -> Mapping[str, float]:
        """Values to log, over the iterations since the last report."""


class Uniform:
    """The first `batch_size` candidates, which are uniform; all count alike."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices of the first `batch_size` candidates."""
        return torch.arange(len(tasks))[: self.batch_size]

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Sum of the risks."""
        return risks.sum()

    def learn(self, tasks: torch.Tensor, risks: torch.Tensor) -> None:
        """Learn nothing."""

    def report(self) -> Mapping[str, float]:
        """No values."""
        return {}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Val shards, and the sources of the distribution.

    Raises:
        ParamsError: no such distribution.
    """
    sources = _candidates.sources(params["distribution"])
    return [refs.shards(params["dataset"], "val"), *map(refs.sources, sources)]


def train(job: TrainJob, sampler: TaskSampler, model: _meta_net.MetaNet) -> nets.State:
    """State after meta-training of a model from `fresh_model`; logs the training."""
    params, val = job.params, _Validation(job, model)
    candidates = _candidates.find(params["distribution"])(job)
    journal = _Journal(job, sampler, candidates.bounds)
    vector = model.vector().requires_grad_()
    layers = model.in_layers(vector)  # which follow the updates of the vector
    update = torch.optim.Adam([vector], lr=params["lr"], fused=True)
    for iteration, batch in zip(range(1, params["iterations"] + 1), candidates, strict=False):
        tasks, support, query = batch.of(sampler.choose(batch.tasks))
        risks, gradient = _second_order.meta_gradient(model, layers, support, query, params["inner_lr"], sampler.loss)
        vector.grad = torch.from_numpy(gradient)
        update.step()
        sampler.learn(tasks, risks)
        journal.add(iteration, tasks)
        if iteration % params["validate"] == 0 or iteration == params["iterations"]:
            model.adopt_vector(vector)
            val.look(iteration)
    return val.state


def fresh_model(job: TrainJob) -> _meta_net.MetaNet:
    """New model of the job.

    Raises:
        ParamsError: an option is out of range, or the model is another.
    """
    params = job.params
    counts = ("iterations", "batch_size", "shots", "every", "validate")
    small = [name for name in counts if params[name] < 1]
    if small:
        raise ParamsError(f"{job.trainer}: {small[0]} is {params[small[0]]}; expected 1 at least")
    if params["candidates"] < params["batch_size"]:
        raise ParamsError(
            f"{job.trainer}: {params['candidates']} candidates for a batch of {params['batch_size']}; "
            "expected as many at least"
        )
    if params["keep"] not in KEEP:
        raise ParamsError(f"{job.trainer}: keep = {params['keep']!r}; {suggest(params['keep'], KEEP)}")
    model, expected = _loop.fresh_net(job), _candidates.find(params["distribution"]).model
    if not isinstance(model, expected):
        raise ParamsError(
            f"{job.trainer} trains the model {expected.__module__.rpartition('.')[2]} on {params['distribution']}; got "
            f"{job.model!r}"
        )
    return model


# ------------------------------------------------------------------ what is watched


class _Validation:
    """The mean risk of the val tasks, and the state to keep."""

    def __init__(self, job: TrainJob, model: _meta_net.MetaNet) -> None:
        self.job, self.model = job, model
        self.least, self.state = float("inf"), dict(model.state_dict())
        samples = job.samples("val")
        self.support, self.query = (torch.from_numpy(model.points(samples, name)) for name in ("support", "query"))

    def look(self, iteration: int) -> None:
        """Log the risk, and keep the state if it is to be kept.

        Raises:
            ModelError: the risk is not finite.
        """
        rows = _meta_net.adapt(self.model, self.support, self.job.model_params)
        with torch.no_grad():
            risk = float(_meta_net.risks(self.model, self.query, rows).mean())
        if not math.isfinite(risk):
            raise ModelError(
                f"{self.job.trainer}: the risk on val is {risk} after {iteration} iterations; lower `lr` or `inner_lr`"
            )
        self.job.log(iteration, "val_risk", risk)
        if risk < self.least or self.job.params["keep"] == "last":
            self.least = risk
            self.state = {name: one.clone() for name, one in self.model.state_dict().items()}


class _Journal:
    """Writes the log of the chosen tasks."""

    def __init__(self, job: TrainJob, sampler: TaskSampler, bounds: _candidates.Bounds) -> None:
        self.job, self.sampler, self.bounds = job, sampler, bounds
        self.chosen: list[torch.Tensor] = []
        self.evaluations = 0

    def add(self, iteration: int, chosen: torch.Tensor) -> None:
        """Count the chosen tasks (b, d), and write when it is time."""
        self.chosen.append(chosen)
        self.evaluations += len(chosen)
        last = iteration == self.job.params["iterations"]
        if iteration % self.job.params["every"] == 0 or last:
            for name, value in {**self.sampler.report(), **self._shares()}.items():
                self.job.log(iteration, name, value)
            self.chosen = []
        if last:
            self.job.log(iteration, "task_evaluations", self.evaluations)

    def _shares(self) -> dict[str, float]:
        """Share of the chosen tasks in each cell of the distribution."""
        low, high = np.array(self.bounds).T
        places = (torch.cat(self.chosen)[:, :2].numpy() - low) / (high - low)
        cells = np.clip((places * CELLS).astype(int), 0, CELLS - 1)
        counts = np.bincount(cells[:, 0] * CELLS + cells[:, 1], minlength=CELLS**2)
        return {f"chosen/{at // CELLS}/{at % CELLS}": count / len(cells) for at, count in enumerate(counts.tolist())}
