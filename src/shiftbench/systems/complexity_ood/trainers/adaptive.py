"""Supervised training to write the value after each step, then the answer: process supervision, as long as steps are.

Source: Nye et al. 2021, "Show Your Work: Scratchpads for Intermediate Computation", arXiv:2112.00114, whose baseline is
direct answers; one of the model classes of arXiv 2510.06274, reconstructed.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.complexity_ood.trainers import _supervised

TASKS = ("free_text",)
PARAMS = _supervised.PARAMS


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last step."""
    return _supervised.train(job, "adaptive")
