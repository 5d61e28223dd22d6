"""MAML on `batch_size` of the candidates by random scores: MPTS without its risk model, as a control.

Source: the control of the specification; in the released code no such strategy is found.
"""

import torch

from shiftbench.base import rng
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
PARAMS = _meta.PARAMS
needs = _meta.needs


class Lottery(_meta.Uniform):
    """The candidates of highest score, scores being random."""

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__(batch_size)
        self.draws = torch.Generator().manual_seed(seed)

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Return the highest."""
        return torch.rand(len(tasks), generator=self.draws).topk(self.batch_size).indices


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the kept iteration."""
    sampler = Lottery(job.params["batch_size"], rng.derive(job.seed, "scores"))
    return _meta.train(job, sampler, _meta.fresh_net(job))
