"""GRPO with the binary reward: 1 for an answer that the sample's first grader takes for right, else `format_score`.

Source: Shao et al. 2024, arXiv:2402.03300; the outcome reward is that of veRL's `gsm8k` scorer (`score` 1,
`format_score` 0). See `_grpo`.
"""

import numpy as np
import torch
from pydantic import Field

from shiftbench.evaluation.llm import graders
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _grpo
from shiftbench.plugins.trainers._rollouts import Rollout

TASKS = ("free_text",)
needs = _grpo.needs


class Options(_grpo.Options):
    score: float = Field(1.0, description="reward of a correct answer")
    format_score: float = Field(0.0, description="reward of a wrong answer")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last update."""
    params = job.params

    def reward(rollout: Rollout) -> dict[str, np.ndarray]:
        right = correct(rollout)
        return {"reward": np.where(right, params["score"], params["format_score"]), "correct": right}

    return _grpo.train(job, reward)


def correct(rollout: Rollout) -> np.ndarray:
    """Whether each response is correct, bool (n,)."""
    pairs = zip(rollout.texts, rollout.samples, strict=True)
    return np.array([graders.correct(text, sample.fields["meta"]) for text, sample in pairs])
