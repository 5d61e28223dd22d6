"""Merging by the arithmetic mean of the weights of models that were tuned from one start.

Source: Wortsman et al., "Model soups", ICML 2022, section 2 (uniform soup). Differs: the models were tuned on different
tasks, and heads are not averaged (`trainers/_merging.py`).
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _merging

TASKS = ("classification", "text_classification")
Options = _merging.Options
needs = _merging.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The merged state dict."""
    return _merging.merge(job, lambda _, candidates: _merging.mean(candidates))
