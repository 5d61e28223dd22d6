"""MPTS: MAML on the candidates whose risk a model of it, learned on the way, puts highest; none is evaluated for that.

The score of a task is an upper confidence bound, `mean_weight` m + `std_weight` s, with m and s the mean and the
standard deviation of the risk model's answers over `draws` draws of z from q(z | the last batch). After each iteration
the model takes one step on the batch: the sum of squared errors of its mean answers, and KL(q || the q before).

The log has, each the mean over iterations: `selected_correlation`, Pearson's of m and risk over the chosen tasks (left
out where one does not vary), `score_std`, s over the candidates, and `risk_model_loss`.

Source: MPTS, arXiv 2501.11039; thu-rllab/MPTS, sinusoid/trainer_maml.py and sinusoid/Model/trainer_risklearner.py.
"""

from collections.abc import Mapping

import torch
from pydantic import Field

from shiftbench.base import rng
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.models._risk_model import Gauss, RiskModel, divergence
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
needs = _meta.needs


class Options(_meta.Options):
    mean_weight: float = Field(1.0, description="weight of the mean m in the score")
    std_weight: float = Field(3.0, description="weight of the standard deviation s in the score")
    draws: int = Field(20, ge=2, description="draws of the latent variable z for m and s")
    risk_lr: float = Field(0.0005, ge=0, description="learning rate of the risk model")


class Predictive(_meta.Uniform):
    """The candidates of highest score under a risk model, which learns from their risks.

    Args:
        job: its options are read; its model's `risk_scale` is the unit of the risk model.
        risk_model: learns in place.
    """

    def __init__(self, job: TrainJob, risk_model: RiskModel) -> None:
        params = job.params
        super().__init__(params["batch_size"])
        self.model, self.scale = risk_model, job.model_params["risk_scale"]
        self.weights, self.count = (params["mean_weight"], params["std_weight"]), params["draws"]
        self.update = torch.optim.Adam(risk_model.parameters(), lr=params["risk_lr"], fused=True)
        self.generator = torch.Generator().manual_seed(rng.derive(job.seed, "latent"))
        self.last: tuple[torch.Tensor, torch.Tensor] | None = None
        self.foreseen = self.spread = torch.empty(0)
        self.history: list[tuple[torch.Tensor, ...]] = []

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices of the highest scores; before the first step z is standard normal."""
        with torch.no_grad():
            gauss = self.model.posterior(*self.last) if self.last else self._prior()
            answers = self.model.expected(tasks, self._latent(gauss))
            spread, mean = torch.std_mean(answers, dim=0)
            bound = self.weights[0] * mean + self.weights[1] * spread
            chosen: torch.Tensor = bound.topk(self.batch_size).indices
        self.foreseen, self.spread = mean[chosen], spread.mean()
        return chosen

    def learn(self, tasks: torch.Tensor, risks: torch.Tensor) -> None:
        """Take one step on the batch, and make its posterior the next prior."""
        targets = risks * self.scale
        posterior = self.model.posterior(tasks, targets)
        answers = self.model.expected(tasks, self._latent(posterior)).mean(0)
        loss = (answers - targets).square().sum() + divergence(posterior, self._prior())
        _descend(self.update, loss)
        self.model.remember(posterior)
        self.last = tasks, targets
        self.history.append((self.foreseen, targets, self.spread, loss.detach()))

    def report(self) -> Mapping[str, float]:
        """Means over the iterations; of correlations, over those that are defined."""
        foreseen, targets, spreads, losses = map(torch.stack, zip(*self.history, strict=True))
        self.history = []
        values = {"score_std": float(spreads.mean()), "risk_model_loss": float(losses.mean())}
        correlations = _correlations(foreseen, targets)
        if len(correlations):
            values["selected_correlation"] = float(correlations.mean())
        return values

    def _prior(self) -> Gauss:
        return self.model.posterior_mean, self.model.posterior_std

    def _latent(self, gauss: Gauss) -> torch.Tensor:
        normal = torch.randn(self.count, len(gauss[0]), generator=self.generator)
        return gauss[0] + gauss[1] * normal


def _descend(update: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one step down a loss, over all parameters of an optimiser; faster than `backward` on networks this small."""
    (group,) = update.param_groups
    for parameter, gradient in zip(group["params"], torch.autograd.grad(loss, group["params"]), strict=True):
        parameter.grad = gradient
    update.step()


def _correlations(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Pearson's correlation (m,) of the rows of two (n, b) in which both vary."""
    a, b = ((side - side.mean(1, keepdim=True)).double() for side in (one, other))
    scale = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return ((a * b).sum(1) / scale)[scale > 0]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict of the best or last iteration, as `keep` says."""
    model = _meta.fresh_model(job)
    return _meta.train(job, Predictive(job, model.risk_model), model)
