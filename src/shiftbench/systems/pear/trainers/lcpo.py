"""LCPO, the comparator of PEAR: GRPO whose reward falls with the distance of an answer's length to a target.

    r = (score if the answer is right, else format_score) - gamma |target - n|

n counts all tokens, the end included, of right and wrong answers alike. A target that no answer falls below is a plain
penalty of length: the least that shortens answers without looking at entropies.

The log has, besides that of `_grpo`: `correct` and `off_target`, in tokens.

Source: Aggarwal and Welleck 2025, "L1: Controlling How Long A Reasoning Model Thinks With Reinforcement Learning",
arXiv:2503.04697, section 3, LCPO-Exact. Differs: there the target is drawn for each prompt and told in it; here it is
one number, of which the prompt says nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _grpo, grpo
from shiftbench.plugins.trainers._rollouts import Rollout

TASKS = ("free_text",)
needs = _grpo.needs


class Options(grpo.Options):
    target: int = Field(5, ge=0, description="length of an answer that costs nothing, in tokens")
    gamma: float = Field(0.1, ge=0, description="penalty of each token more or less")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last update."""

    def reward(rollout: Rollout) -> dict[str, NDArray[np.floating]]:
        return parts(rollout, grpo.correct(rollout), job.params)

    return _grpo.train(job, reward)


def parts(rollout: Rollout, correct: NDArray[np.bool_], params: Mapping[str, Any]) -> dict[str, NDArray[np.floating]]:
    """`reward` of each response, and its terms.

    Args:
        rollout: n responses.
        correct: bool (n,), which are right.
        params: `score`, `format_score`, `target` and `gamma` (per token).
    """
    lengths = np.array([len(response.entropies) for response in rollout.statistics])
    off_target = np.abs(params["target"] - lengths).astype(np.float64)
    score = np.where(correct, params["score"], params["format_score"])
    return {
        "reward": score - params["gamma"] * off_target,
        "correct": correct.astype(np.float64),
        "off_target": off_target,
    }
