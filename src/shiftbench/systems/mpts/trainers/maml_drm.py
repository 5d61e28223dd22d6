"""MAML on the worst of the candidates, all of which are evaluated: CVaR at the level 1 - batch_size / candidates.

Source: `drm` of MPTS (thu-rllab/MPTS, sinusoid/trainer_maml.py), after Wang et al., "A Simple Yet Effective
Strategy to Robustify the Meta Learning Paradigm", NeurIPS 2023.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
PARAMS = _meta.PARAMS
needs = _meta.needs


class Worst(_meta.Uniform):
    """All candidates are evaluated, and the `batch_size` of highest risk are learnt from."""

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Return all."""
        return torch.arange(len(tasks))

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Return the sum of the highest."""
        return risks.topk(self.batch_size).values.sum()


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the kept iteration."""
    return _meta.train(job, Worst(job.params["batch_size"]), _meta.fresh_net(job))
