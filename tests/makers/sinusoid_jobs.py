"""Tiny meta-trainings on sinusoids."""

from typing import Any

import torch

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.datasets import sinusoid_tasks
from shiftbench.systems.mpts.models import maml_mlp
from shiftbench.systems.mpts.trainers import _candidates

TRAINERS = ("maml_erm", "maml_drm", "maml_gdrm", "maml_mpts", "maml_random", "maml_amplitude")
SHORT = {"iterations": 6, "every": 2, "validate": 3}


def tasks(count: int = 8, split: str = "test", **options: Any) -> list[Sample]:
    given = {**defaults(sinusoid_tasks), "count": count, "query": 50, **options}
    return list(sinusoid_tasks.samples(split, {}, given))


def job(trainer: str, seed: int = 0, **options: Any) -> TrainJob:
    params = {**defaults(registry.find("trainers", trainer)), **SHORT, **options}
    return TrainJob(
        "sinusoid_tasks", "maml_mlp", trainer, seed, params, defaults(maml_mlp), (), {},
        lambda split: tasks(8, split),
    )  # fmt: skip


def net(seed: int = 0) -> maml_mlp.Net:
    torch.manual_seed(seed)
    return maml_mlp.Net(defaults(maml_mlp))


def batch(seed: int = 0) -> _candidates.Points:
    return next(iter(_candidates.Sinusoids(job("maml_erm", seed))))
