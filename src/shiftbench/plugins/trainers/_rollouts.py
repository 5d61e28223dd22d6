"""Groups of responses to learn from: sampled from the policy, rewarded, joined to one batch; helper of `_grpo`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation.llm.token_statistics import TokenStatistics
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _decoding
from shiftbench.plugins.models._decoding import Responses
from shiftbench.plugins.trainers import _policy_loss
from shiftbench.plugins.trainers._prompts import Prompts

TRIES = 8
"""How many times as many prompts are rolled out at most, where groups that tell nothing are replaced."""


class Rollout(NamedTuple):
    """Responses as a reward sees them.

    Attributes:
        samples: the prompt of each response.
        texts: what each says.
        statistics: of the tokens of each, under the policy that sampled it.
    """

    samples: list[Sample]
    texts: list[str]
    statistics: list[TokenStatistics]


Reward = Callable[[Rollout], Mapping[str, NDArray[np.floating]]]
"""Gives `reward`, float (n,), and what else is to be logged of each response, by name."""


class Batch(NamedTuple):
    """Responses that are learnt from: prompts (n, ...), n responses, advantages (n,); and what is told of all."""

    prompts: torch.Tensor
    responses: Responses
    advantages: torch.Tensor
    diagnostics: Mapping[str, NDArray[np.floating]]


def batch(job: TrainJob, policy: Any, prompts: Prompts, reward: Reward, number: int) -> Batch:
    """The batch of an update, without the groups that tell nothing where they are not kept."""
    params, way = job.params, job.params["zero_variance"]
    rng = RandomStream(job.seed, "prompts", job.dataset, f"{number}")
    drawn = prompts.drawn(params["prompts"] * (TRIES if way == "resample" else 1), rng)
    batches = []
    for at in range(0, len(drawn), params["prompts"]):
        some = drawn[at : at + params["prompts"]]
        batches.append(_rolled(job, policy, some, reward, f"{number}/{at}"))
        if sum(len(one.advantages) for one in batches) >= params["prompts"] * params["group_size"]:
            break
    return _joined(batches, params["prompts"] * params["group_size"], job)


def _rolled(job: TrainJob, policy: Any, samples: list[Sample], reward: Reward, words: str) -> Batch:
    """Roll out a group of responses to each prompt."""
    params, model = job.params, job.plugin
    size, most = params["group_size"], params["max_new_tokens"]
    repeated = [sample for sample in samples for _ in range(size)]
    stream = RandomStream(job.seed, "rollout", job.dataset, words)
    uniforms = _decoding.uniforms([stream] * len(repeated), most)
    device = next(policy.parameters()).device
    inputs = torch.from_numpy(model.prepare_batch(repeated, job.model_params)).to(device)
    responses = _decoding.sample(
        policy, inputs, torch.from_numpy(uniforms).to(device), model.end(job.model_params), params["temperature"]
    )
    rollout = Rollout(repeated, *_decoding.completions_of(responses, model, job.model_params, most))
    parts = reward(rollout)
    rewards = torch.from_numpy(np.asarray(parts["reward"], np.float64)).view(-1, size)
    telling = _policy_loss.telling(rewards)
    trained = telling | (params["zero_variance"] == "keep")
    rows = trained.repeat_interleave(size)
    advantages = _policy_loss.advantages(rewards, by_std=params["by_std"]).flatten().float()
    log = {
        **parts,
        "tokens": responses.inside.sum(1).cpu().numpy(),
        "truncated": np.array([one.truncated for one in rollout.statistics]),
        "equal_groups": 1 - telling.float().numpy(),
    }
    return Batch(inputs[rows], Responses(*(part[rows] for part in responses)), advantages[rows].to(device), log)


def _joined(batches: list[Batch], most: int, job: TrainJob) -> Batch:
    """Batches as one of `most` responses at most; short responses are filled up behind their end."""
    if len(batches) == 1:
        return batches[0]
    length = max(one.responses.tokens.shape[1] for one in batches)
    fill = (job.plugin.end(job.model_params), 0, 0, 0)
    parts = [
        [F.pad(part, (0, length - part.shape[1]), value=value) for part, value in zip(one.responses, fill, strict=True)]
        for one in batches
    ]
    responses = Responses(*(torch.cat(part)[:most] for part in zip(*parts, strict=True)))
    log = {name: np.concatenate([one.diagnostics[name] for one in batches]) for name in batches[0].diagnostics}
    return Batch(
        torch.cat([one.prompts for one in batches])[:most],
        responses,
        torch.cat([one.advantages for one in batches])[:most],
        log,
    )


def log_probabilities(policy: Any, prompts: torch.Tensor, responses: Responses, temperature: float) -> torch.Tensor:
    """The log-probability of each token of responses as it is sampled, in one pass, (n, t).

    Args:
        policy: reads the responses.
        prompts: (n, ...).
        responses: n of t tokens.
        temperature: of the sampling, above 0.
    """
    logits = policy.response_logits(prompts, responses.tokens) / temperature
    logs: torch.Tensor = logits.log_softmax(-1).gather(-1, responses.tokens[..., None])[..., 0]
    return logs
