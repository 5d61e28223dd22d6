"""MAML on the candidates of largest amplitude: what one would choose without any model, knowing what a sinusoid is.

Source: ours, the strongest simple baseline of MPTS that we thought of: errors grow with the amplitude.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
PARAMS = _meta.PARAMS
needs = _meta.needs


class Largest(_meta.Uniform):
    """The candidates whose identifier begins with the largest number."""

    def choose(self, tasks: torch.Tensor) -> torch.Tensor:
        """Return the largest."""
        return tasks[:, 0].topk(self.batch_size).indices


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the kept iteration."""
    return _meta.train(job, Largest(job.params["batch_size"]), _meta.fresh_net(job))
