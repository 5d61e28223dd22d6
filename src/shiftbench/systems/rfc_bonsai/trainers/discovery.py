"""A round of discovery: a fresh predictor that works where each earlier one is right, and where it is wrong.

    min over (f, h) of max over earlier rounds i of max(R(A_i), R(B_i)) + l2 |parameters|^2

A_i are the training samples of all environments that round i answers rightly, B_i the others, R the mean of a group.
`rounds` names the trainers of the earlier rounds, in their order. Round 0 is no discovery but empirical risk
minimisation stopped early: `environments` with `risks: pooled`. Steps, batches and `penalty` (`worst_group`, or
`group_dro` as on Camelyon17) are those of `environments`.

Source: Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516, section 4 (discovery phase); TjuJianyu/RFC,
coloredmnist/run_exp.py with `--methods dro --group_dirs`.
"""

import torch

from shiftbench.base import registry
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _loop, environments
from shiftbench.systems.rfc_bonsai.trainers import _rounds

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    **registry.defaults(environments),
    "penalty": "worst_group",
    "rounds": ["round_0"],
    "steps": 501,
}
needs = _rounds.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of this round's predictor; logs the size and the last risk of each group."""
    envs = _environments.read(job)
    groups = _rounds.sides(_rounds.answers(job, envs), envs.labels)
    for name, rows in groups.items():
        job.log(0, f"size_{name}", len(rows))
    return environments.fitted(job, _loop.fresh_net(job), envs.regrouped(groups))
