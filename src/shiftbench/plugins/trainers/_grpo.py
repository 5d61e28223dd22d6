"""GRPO, whatever is rewarded: groups of sampled responses, their advantages, clipped steps near a reference.

    prompts -> `group_size` responses each -> reward(rollout) -> advantages -> `steps_per_batch` steps of `_policy_loss`

The policy begins as the weights of the trainer `start`, which stay the reference; of the same seed, or of `start_seed`,
so that several seeds begin alike. Which prompts an update sees, and the numbers that tokens are drawn with, are words
of (seed, dataset, update): trainers of one seed differ by their rewards alone.

Where all rewards of a group are equal its advantages are 0 and the divergence alone pulls (`zero_variance: keep`);
`skip` leaves such groups out, `resample` rolls out other prompts for them, up to TRIES times. Rewards that grade finely
have few such groups, so that these options treat trainers differently.

The log has, over each `every` updates: `reward` and what else the reward tells, `tokens`, `truncated`, `divergence`,
`clipped` (share of tokens whose ratio is beyond the clip) and `equal_groups`.

Source: Shao et al. 2024, "DeepSeekMath" (GRPO), arXiv:2402.03300, algorithm 1, with outcome rewards; `resample` is
DAPO's dynamic sampling, arXiv:2503.14476, section 3.2. Differs: the reference is never renewed.
"""

import copy
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _policy_loss, _prompts, _rollouts
from shiftbench.plugins.trainers._prompts import Prompts

ZERO_VARIANCE = ("keep", "skip", "resample")


class Options(declare.Options):
    start: str = Field("sft", description="trainer whose checkpoint is the start and the reference")
    start_seed: int | None = Field(None, ge=0, description="seed of that checkpoint; null: the seed of this training")
    groups: _prompts.Groups = Field([])
    balanced: _prompts.Balanced = True
    updates: int = Field(60, ge=1, description="number of updates, each from new responses")
    prompts: int = Field(16, ge=1, description="prompts of an update")
    group_size: int = Field(8, ge=2, description="responses to each prompt")
    steps_per_batch: int = Field(1, ge=1, description="gradient steps of an update")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.0003
    weight_decay: fields.WeightDecay = 0.0
    gradient_norm: float = Field(1.0, gt=0, description="largest norm of the gradient; a longer one is shortened")
    clip: float = Field(0.2, ge=0, description="distance from 1 at which the ratio of probabilities is clipped")
    beta: float = Field(0.001, ge=0, description="weight of the divergence from the reference")
    temperature: float = Field(1.0, gt=0, description="temperature of sampling")
    max_new_tokens: int = Field(32, ge=1, description="largest number of tokens of a response")
    loss_norm: Literal["sequence", "token", "constant"] = Field(
        "sequence", description="mean over responses of their means, over all tokens, or of sums by `max_new_tokens`"
    )
    by_std: bool = Field(True, description="divide advantages by the standard deviation of their group's rewards")
    zero_variance: Literal["keep", "skip", "resample"] = Field(
        "keep", description="groups whose rewards are all equal: keep, leave out, or replace by other prompts"
    )
    every: int = Field(10, ge=1, description="updates between two lines of the log")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights that it begins with, and the train shards."""
    seed = params["seed"] if params["start_seed"] is None else params["start_seed"]
    start = refs.checkpoint(params["dataset"], params["model"], params["start"], seed)
    return [start, refs.shards(params["dataset"], "train")]


def train(job: TrainJob, reward: _rollouts.Reward) -> nets.State:
    """The state dict after the last update."""
    params = checked(job)
    policy = _begin(job)
    reference = copy.deepcopy(policy).requires_grad_(requires_grad=False)
    prompts, update, journal = Prompts(job), _loop.optimiser(job, policy), _Journal(job)
    for number in range(1, params["updates"] + 1):
        batch = _rollouts.batch(job, policy, prompts, reward, number)
        journal.add(batch.diagnostics)
        if len(batch.advantages):
            statistics = _step(policy, reference, batch, update, params)
            journal.add({name: np.array([value]) for name, value in statistics.items()})
        journal.write(number)
    return dict(policy.state_dict())


def checked(job: TrainJob) -> Mapping[str, Any]:
    """The options.

    Raises:
        ParamsError: names the one that is out of range.
    """
    params = job.params
    least = {"updates": 1, "prompts": 1, "group_size": 2, "steps_per_batch": 1, "max_new_tokens": 1, "every": 1}
    small = [name for name, bound in least.items() if params[name] < bound]
    if small:
        raise ParamsError(f"{job.trainer}: {small[0]} is {params[small[0]]}; expected {least[small[0]]} at least")
    words = {"loss_norm": _policy_loss.NORMS, "zero_variance": ZERO_VARIANCE}
    for name, allowed in words.items():
        if params[name] not in allowed:
            raise ParamsError(f"{job.trainer}: {name} = {params[name]!r}; {suggest(params[name], allowed)}")
    if params["temperature"] <= 0:
        raise ParamsError(f"{job.trainer}: temperature is {params['temperature']}; expected more than 0")
    return params


def _begin(job: TrainJob) -> Any:
    if not hasattr(job.plugin, "closing"):
        raise ModelError(f"{job.trainer} trains models that write token by token; {job.model!r} is none")
    policy = _loop.fresh_net(job).to(nets.pick_device(job.device)).eval()
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    nets.load_into(policy, nets.read_state(start), start)
    return policy


# ------------------------------------------------------------------ a step


def _step(
    policy: Any, reference: Any, batch: _rollouts.Batch, update: torch.optim.Optimizer, params: Mapping[str, Any]
) -> dict[str, float]:
    """Learn from a batch, and tell of its last step."""
    at, inside = params["temperature"], batch.responses.inside
    with torch.no_grad():
        base = _rollouts.log_probabilities(reference, batch.prompts, batch.responses, at)
    old: torch.Tensor | None = None
    statistics: dict[str, float] = {}
    for _ in range(params["steps_per_batch"]):
        new = _rollouts.log_probabilities(policy, batch.prompts, batch.responses, at)
        old = new.detach() if old is None else old
        kl = _policy_loss.divergence(new, base)
        gain = _policy_loss.objective(new, old, batch.advantages, params["clip"])
        values = gain - params["beta"] * kl
        loss = -_policy_loss.reduced(values, inside, params["loss_norm"], params["max_new_tokens"])
        if not loss.isfinite():
            raise ModelError("grpo: the loss is not finite; lower `lr` or raise `beta`")
        update.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), params["gradient_norm"])
        update.step()
        beyond = ((new.detach() - old).exp() - 1).abs() > params["clip"]
        statistics = {"divergence": float(kl.detach()[inside].mean()), "clipped": float(beyond[inside].float().mean())}
    return statistics


class _Journal:
    """What the log says, means over `every` updates."""

    def __init__(self, job: TrainJob) -> None:
        self.job = job
        self.seen: dict[str, list[NDArray[np.floating]]] = {}

    def add(self, numbers: Mapping[str, NDArray[np.floating]]) -> None:
        """Remember numbers by name."""
        for name, values in numbers.items():
            self.seen.setdefault(name, []).append(values)

    def write(self, number: int) -> None:
        """Log the means when it is time, and begin anew."""
        if number % self.job.params["every"] and number != self.job.params["updates"]:
            return
        for name, values in self.seen.items():
            together = np.concatenate(values)
            if len(together):  # what is told of right answers alone may be of none
                self.job.log(number, name, float(together.mean(dtype=np.float64)))
        self.seen = {}
