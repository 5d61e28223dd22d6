"""GRPO with an exact-match reward, for answers of one word: a group comes from one forward pass.

    reward   -0.2 of an empty completion, 1 of one that is the reference, else 0; read from the completion's last line,
             ( ) . , - removed, in lower case; the reference is lowered and nothing else
    A        (r - mean) / (std + 1e-4) within the group, std of n - 1
    loss     -(exp(logp - stopgrad(logp)) A - beta kl),   kl = exp(d) - d - 1,   d = logp of the reference - logp,
             mean over tokens, then over completions; one update for each batch, so that nothing is clipped

The reference is the model with its adapters switched off. A group whose rewards have a standard deviation below 1e-5
contributes nothing, its divergence neither (`equal: skip`, released); `resample` looks for other questions in its place
(stated by the paper after DAPO, arXiv:2503.14476, not in the released code), up to TRIES batches. Log-probabilities are
those at temperature 1, whatever is sampled at.

The log also has `reward`, `divergence` and `equal_groups`, means over each `every` steps.

Source: Yvonne511/spatial-vlm-investigator, model/pali_sat_grpo.py (`accuracy_reward`, `normalize_answer`,
`compute_loss`): group of 4, temperature 0.9 and beta 0.04 there; the paper's table II has temperature 1 and, for its
second version, beta 0.01. Arithmetic of `trainers/_policy_loss.py`.
"""

import re
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _decoding
from shiftbench.plugins.trainers import _policy_loss
from shiftbench.systems.spatial_vlm_cot_grpo.trainers import _tuning
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._adapters import Adapters
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._asked import Asked

TASKS = ("free_text",)
needs = _tuning.needs
EMPTY = -0.2
EQUAL = ("skip", "resample")
TRIES = 4
_STRIPPED = re.compile(r"[().,\-]")


class Options(_tuning.Options):
    group_size: int = Field(8, ge=2, description="completions of each question")
    beta: float = Field(0.01, ge=0, description="weight of the divergence from the reference")
    temperature: float = Field(1.0, gt=0, description="temperature of sampling")
    equal: Literal["skip", "resample"] = Field(
        "skip", description="groups whose rewards are all equal: leave out, or replace by other questions"
    )


def reward(completion: str, reference: str) -> float:
    r"""The reward of a completion, as released.

    Example:
        >>> reward("The lamp,\nleft.", "Left"), reward(" ", "left"), reward("left", "(left)")
        (1.0, -0.2, 0.0)
    """
    if "\n" in completion:
        completion = completion.split("\n")[-1].strip()
    if not completion.strip():
        return EMPTY
    return float(_STRIPPED.sub("", completion).lower() == reference.lower())


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict, adapters merged.

    Raises:
        ParamsError: an option out of range.
    """
    params = job.params
    if params["equal"] not in EQUAL:
        raise ParamsError(f"spatial_grpo: equal is {params['equal']!r}; {suggest(params['equal'], EQUAL)}")
    if params["group_size"] < 2 or params["temperature"] <= 0:
        raise ParamsError("spatial_grpo: expected a group_size of 2 at least and a temperature above 0")
    group = _Group(job)

    def loss(
        model: Any, adapters: Adapters, questions: Asked, rows: torch.Tensor, words: RandomStream
    ) -> torch.Tensor | None:
        tries = TRIES if params["equal"] == "resample" else 1
        losses: list[torch.Tensor] = []
        for _ in range(tries):
            losses += group.losses(model, adapters, questions, rows, words)
            if len(losses) >= len(rows):
                break
            random_rows = words.raw(len(rows)) % np.uint64(len(questions.prompts))
            rows = torch.from_numpy(random_rows.astype(np.int64))
        if not losses:
            return None
        used = losses[: len(rows)]
        return torch.stack(used).sum() / (len(rows) if tries == 1 else len(used))

    state = _tuning.fit(job, loss)
    for name, values in group.history.items():
        job.log(params["steps"], name, float(np.mean(values)))
    return state


class _Group:
    """Groups of sampled answers and their losses; remembers what is told."""

    def __init__(self, job: TrainJob) -> None:
        self.job = job
        self.history: dict[str, list[float]] = {"reward": [], "divergence": [], "equal_groups": []}

    def losses(
        self, network: Any, adapters: Adapters, questions: Asked, rows: torch.Tensor, words: RandomStream
    ) -> list[torch.Tensor]:
        """The loss of each question whose rewards differ."""
        params, plugin = self.job.params, self.job.plugin
        device = next(network.parameters()).device
        prompts = questions.prompts[rows].to(device)
        logits, _ = network.begin(prompts)
        with torch.no_grad(), adapters.off():
            base, _ = network.begin(prompts)
        numbers = _decoding.uniforms([words], len(rows) * params["group_size"])
        uniforms = torch.from_numpy(numbers.reshape(len(rows), -1)).to(device)
        tokens = plugin.draw(logits.detach(), uniforms, params["temperature"])
        rewards = torch.from_numpy(self._rewards(tokens.cpu().numpy(), questions, rows)).to(device)
        differs = _policy_loss.telling(rewards)
        log_probabilities, reference_log_probabilities = (
            one.log_softmax(-1).gather(-1, tokens) for one in (logits, base)
        )
        kl = _policy_loss.divergence(log_probabilities, reference_log_probabilities)
        gain = (log_probabilities - log_probabilities.detach()).exp() * _policy_loss.advantages(rewards).to(
            log_probabilities.dtype
        )
        question_losses = -(gain - params["beta"] * kl).mean(1)
        self.history["reward"].append(float(rewards.mean()))
        self.history["divergence"].append(float(kl.detach().mean()))
        self.history["equal_groups"].append(1 - float(differs.double().mean()))
        return list(question_losses[differs])

    def _rewards(self, tokens: NDArray[np.int64], questions: Asked, rows: torch.Tensor) -> NDArray[np.float64]:
        """The rewards of tokens (n, group)."""
        model, options = self.job.plugin, self.job.model_params
        end = model.end(options)
        texts = {
            int(token): "" if token == end else model.decoded([int(token)], options) for token in np.unique(tokens)
        }
        return np.array(
            [
                [reward(texts[int(token)], questions.answers[row]) for token in group_tokens]
                for group_tokens, row in zip(tokens, rows.tolist(), strict=True)
            ]
        )
