"""MAML on candidates that are chosen without a model of their risk: the baselines of MPTS.

The option `sampler` is what the variants in `variants.yaml` differ by:

    first       the first `batch_size` candidates, with equal weight
    worst       all candidates are evaluated, and training uses the `batch_size` of highest risk
    weighted    the first `batch_size` candidates, with a weight for each slot of the batch
    random      the `batch_size` candidates of highest random score
    largest     the `batch_size` candidates whose identifier begins with the largest number

Group DRO (`weighted`): p_i <- p_i exp(eta risk_i), scaled to the sum B; the loss is sum p_i risk_i. A weight belongs to
slot i of the batch, not to a task. Each batch has new tasks, so the weights follow noise alone.

Source: thu-rllab/MPTS, sinusoid/trainer_maml.py (`erm`, `drm`, `gdrm`; its `gdrm` crashes, since it makes its weights
for the name `group_dro`). `random` and `largest` are ours.
"""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field

from shiftbench.base import rng
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
needs = _meta.needs


class Options(_meta.Options):
    sampler: Literal["first", "worst", "weighted", "random", "largest"] = Field(
        "first", description="how candidates are chosen"
    )
    eta: float = Field(0.001, ge=0, description="step of the weights of `sampler: weighted`")


class Worst(_meta.Uniform):
    """All candidates are evaluated; training uses the `batch_size` of highest risk (CVaR)."""

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices of all candidates."""
        return torch.arange(len(tasks))

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Sum of the highest risks."""
        return risks.topk(self.batch_size).values.sum()


class Weighted(_meta.Uniform):
    """The first `batch_size` candidates, with a weight for each slot of the batch (group DRO)."""

    def __init__(self, batch_size: int, eta: float) -> None:
        super().__init__(batch_size)
        self.eta, self.weights = eta, torch.ones(batch_size)

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Update the weights from the risks, then return the weighted sum."""
        grown = self.weights * (self.eta * risks.detach()).exp()
        self.weights = grown / grown.sum() * self.batch_size
        return risks @ self.weights


class Lottery(_meta.Uniform):
    """The candidates of highest random score."""

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__(batch_size)
        self.generator = torch.Generator().manual_seed(seed)

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices of the highest scores."""
        return torch.rand(len(tasks), generator=self.generator).topk(self.batch_size).indices


class Largest(_meta.Uniform):
    """The candidates whose identifier begins with the largest number: of sinusoids, the amplitude."""

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Indices of the largest first numbers."""
        return tasks[:, 0].topk(self.batch_size).indices


SAMPLERS: dict[str, Callable[[TrainJob], _meta.TaskSampler]] = {
    "first": lambda job: _meta.Uniform(job.params["batch_size"]),
    "worst": lambda job: Worst(job.params["batch_size"]),
    "weighted": lambda job: Weighted(job.params["batch_size"], job.params["eta"]),
    "random": lambda job: Lottery(job.params["batch_size"], rng.derive(job.seed, "scores")),
    "largest": lambda job: Largest(job.params["batch_size"]),
}


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict of the best or last iteration, as `keep` says.

    Raises:
        ParamsError: an unknown sampler, or an option out of range.
    """
    name = job.params["sampler"]
    if name not in SAMPLERS:
        raise ParamsError(f"{job.trainer}: sampler = {name!r}; {suggest(name, SAMPLERS)}")
    model = _meta.fresh_model(job)
    return _meta.train(job, SAMPLERS[name](job), model)
