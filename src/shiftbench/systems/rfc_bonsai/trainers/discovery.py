"""A round of discovery: a fresh predictor that works where each earlier one is right, and where it is wrong.

    min over (f, h) of max over earlier rounds i of max(R(A_i), R(B_i)) + l2 |parameters|^2

A_i are the training samples of all environments that round i answers rightly, B_i the others, R the mean of a group.
Round 0 is no discovery but empirical risk
minimisation stopped early: `environments` with `risks: pooled`. Steps, batches and `penalty` (`worst_group`, or
`group_dro` as on Camelyon17) are those of `environments`.

Source: Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516, section 4 (discovery phase); TjuJianyu/RFC,
coloredmnist/run_exp.py with `--methods dro --group_dirs`.
"""

from typing import Literal

import torch
from pydantic import Field

from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _loop, _steps, environments
from shiftbench.systems.rfc_bonsai.trainers import _rounds

TASKS = ("classification",)
needs = _rounds.needs


class Options(environments.Options):
    penalty: Literal["worst_group", "group_dro"] = Field(
        "worst_group", description="how the risks of the groups are weighed"
    )
    rounds: list[str] = Field(["round_0"], min_length=1, description="trainers of the earlier rounds, in their order")
    steps: _steps.Steps = 501


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of this round's predictor; logs the size and the last risk of each group."""
    envs = _environments.read(job)
    groups = _rounds.sides(_rounds.answers(job, envs), envs.labels)
    for name, rows in groups.items():
        job.log(0, f"size_{name}", len(rows))
    return environments.fitted(job, _loop.fresh_net(job), envs.regrouped(groups))
