"""MAML on uniformly drawn tasks: the mean risk is minimised, and hard tasks count as much as any other.

Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2; `erm` of MPTS (thu-rllab/MPTS,
sinusoid/trainer_maml.py): the first `batch_size` candidates.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.trainers import _meta

TASKS = _meta.TASKS
PARAMS = _meta.PARAMS
needs = _meta.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the kept iteration."""
    return _meta.train(job, _meta.Uniform(job.params["batch_size"]), _meta.fresh_net(job))
