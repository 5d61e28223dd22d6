"""PEAR: GRPO in which a right answer earns less, the more the entropy of its thinking exceeds that of its answer.

    P = max(0, Hth - alpha Han)          r = min(1, score - P) if the answer is right, else format_score

Hth and Han are the means of the tokens' entropies before and behind the one that closes the thinking, under the policy
that sampled them, at the temperature of the sampling. A response that does not close its thinking has Han = 0. With
`score` 1 a penalty above 1 makes the reward of a right answer negative; `clip_low` bounds it from below (the notes on
the paper say that it stays in 0 to 1), and the log's `negative` says how often it matters.

The log has, besides that of `_grpo`: `correct`, `thinking_entropy`, `answer_entropy`, `penalty`, `negative` (share of
right answers that earn less than nothing) and `closed`.

Source: Huang, Lu and Zhang, arXiv 2510.08026, section 3; `score=1.0, format_score=0.0` are the example in the README of
iNLP-Lab/PEAR, whose code could not be had. That README hands `old_log_prob["entropys"]` to the reward: veRL's
`compute_log_prob`, which divides logits by the temperature of the sampling before it takes entropies.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.evaluation.llm.token_statistics import phase_means
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _grpo, grpo
from shiftbench.plugins.trainers._rollouts import Rollout

TASKS = ("free_text",)
needs = _grpo.needs


class Options(grpo.Options):
    alpha: float = Field(
        1.0, description="weight of the answer's entropy, from which that of the thinking may differ freely"
    )
    clip_low: float | None = Field(None, description="smallest reward of a correct answer; null: no bound")


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
        params: `alpha`, `score`, `format_score` and `clip_low` (None: no bound).
    """
    phases = [phase_means(response.entropies, response.closing) for response in rollout.statistics]
    thinking, answer = np.array(phases, np.float64).reshape(-1, 2).T
    penalty = np.maximum(0, thinking - params["alpha"] * answer)
    scores = np.minimum(1, params["score"] - penalty)
    clipped = scores if params["clip_low"] is None else np.maximum(scores, params["clip_low"])
    return {
        "reward": np.where(correct, clipped, params["format_score"]),
        "correct": correct.astype(np.float64),
        "thinking_entropy": thinking,
        "answer_entropy": answer,
        "penalty": penalty,
        "negative": (scores[correct] < 0).astype(np.float64),
        "closed": np.array([response.closing is not None for response in rollout.statistics], np.float64),
    }
