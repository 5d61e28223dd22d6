"""MAML with the weights of group DRO: each slot of the batch has a weight that grows with the risks it had.

p_i <- p_i exp(eta risk_i), scaled to the sum B; the loss is sum p_i risk_i. A weight belongs to the slot i, not to a
task: tasks are drawn anew, so that it follows noise alone.

Source: Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", arXiv:1911.08731, algorithm 1;
as `gdrm` of MPTS (thu-rllab/MPTS, sinusoid/trainer_maml.py), which crashes there: its weights are made for the name
`group_dro`.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
PARAMS: dict[str, object] = {**_meta.PARAMS, "eta": 0.001}
needs = _meta.needs


class Weighted(_meta.Uniform):
    """The first `batch_size` candidates, weighted by slot."""

    def __init__(self, batch_size: int, eta: float) -> None:
        super().__init__(batch_size)
        self.eta, self.weights = eta, torch.ones(batch_size)

    def loss(self, risks: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum, after the weights followed the risks."""
        grown = self.weights * (self.eta * risks.detach()).exp()
        self.weights = grown / grown.sum() * self.batch_size
        return risks @ self.weights


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the kept iteration."""
    sampler = Weighted(job.params["batch_size"], job.params["eta"])
    return _meta.train(job, sampler, _meta.fresh_net(job))
