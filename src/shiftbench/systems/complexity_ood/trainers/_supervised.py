"""Learning to write one of a question's traces, token by token; the option `trace` names it in `meta.traces`.

Each step sees questions of one length, and each complexity is as frequent in its batch. (seed, dataset, step) alone
decide which questions: trainers of one seed see the same questions in the same order, and differ by what they learn to
write. The log has `train_loss` in nats per token, and at the end `val_loss` and `val_accuracy`, the share of val
questions whose whole trace is the most likely, token by token. The options of the card were chosen by these two.

Source: Nye et al. 2021, "Show Your Work: Scratchpads for Intermediate Computation", arXiv:2112.00114, whose baseline is
direct answers; a model class of arXiv 2510.06274, reconstructed. As `trainers/sft.py`, of one trace each; tokens are
made once, since models as small wait for Python otherwise.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _steps

TASKS = ("free_text",)
AT_ONCE = 512
IGNORED = -100
"""Label of tokens behind a trace's end, which cross_entropy ignores."""


class Options(declare.Options):
    trace: Literal["direct", "scratchpad", "adaptive"] = Field(
        "direct", description="text to learn: the answer, or first the value after each slot, or after each step"
    )
    steps: _steps.Steps = 1000
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.002
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"


class Questions(NamedTuple):
    """Questions of one length, tokens int64.

    Attributes:
        prompts: (n, p).
        targets: (n, t), IGNORED behind the end.
        inputs: (n, t), the same with the end's token there.
        groups: which questions have each complexity.
    """

    prompts: torch.Tensor
    targets: torch.Tensor
    inputs: torch.Tensor
    groups: list[NDArray[np.int64]]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict after the last step.

    Raises:
        ModelError: the model does not write token by token.
        DataError: a sample has no such trace.
    """
    if not hasattr(job.plugin, "closing"):
        raise ModelError(f"{job.trainer} trains models that write token by token; {job.model!r} is none")
    trace = job.params["trace"]
    network: Any = _loop.fresh_net(job)
    sets = [_tokens(job, some, trace) for some in _of_one_length(job, "train")]
    device = nets.pick_device(job.device)

    def loss(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        prompts, inputs, targets = (part.to(device) for part in batch)
        return F.cross_entropy(network.response_logits(prompts, inputs).flatten(0, 1), targets.flatten())

    _steps.fit(job, network, _batches(job, sets), loss, logged=100)
    val_sets = [_tokens(job, some, trace) for some in _of_one_length(job, "val")]
    for name, value in _on_val(network.eval(), val_sets, device).items():
        job.log(job.params["steps"], name, value)
    return dict(network.state_dict())


def _of_one_length(job: TrainJob, split: str) -> Iterator[list[Sample]]:
    samples = job.samples(split)
    for places in job.plugin.of_one_length(samples, job.model_params):
        yield [samples[at] for at in places]


def _tokens(job: TrainJob, samples: list[Sample], trace: str) -> Questions:
    model, options = job.plugin, job.model_params
    missing = [sample.key for sample in samples if trace not in sample.fields["meta"].get("traces", ())]
    if missing:
        raise DataError(f"{missing[0]}: meta.traces has no {trace!r}, which {job.trainer} learns to write")
    texts = [sample.fields["meta"]["traces"][trace] for sample in samples]
    rows = [[*model.encoded(text, options), model.end(options)] for text in texts]
    most = max(map(len, rows))
    targets = torch.tensor([row + [IGNORED] * (most - len(row)) for row in rows])
    names = np.array([sample.fields["meta"]["group"] for sample in samples])
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    prompts = torch.from_numpy(model.prepare_batch(samples, options))
    return Questions(prompts, targets, targets.where(targets != IGNORED, model.end(options)), groups)


def _batches(job: TrainJob, sets: list[Questions]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield prompts, inputs and targets of `batch_size` questions of one length, each complexity as often."""
    for step in range(1, job.params["steps"] + 1):
        rng = RandomStream(job.seed, "complexity_ood", job.dataset, f"{step}")
        own = sets[int(rng.raw(1)[0] % np.uint64(len(sets)))]
        words = rng.raw(job.params["batch_size"])
        groups = [own.groups[at % len(own.groups)] for at in range(len(words))]
        rows = torch.tensor([int(of[int(word % np.uint64(len(of)))]) for of, word in zip(groups, words, strict=True)])
        yield own.prompts[rows], own.inputs[rows], own.targets[rows]


@torch.no_grad()
def _on_val(network: Any, sets: list[Questions], device: torch.device) -> dict[str, float]:
    """Loss and share of right traces; NaN where val is empty."""
    losses, correct = [], []
    for own in sets:
        for at in range(0, len(own.prompts), AT_ONCE):
            some = (part[at : at + AT_ONCE] for part in (own.prompts, own.inputs, own.targets))
            prompts, inputs, targets = (part.to(device) for part in some)
            logits = network.response_logits(prompts, inputs)
            each = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
            losses.append(each[targets != IGNORED])
            correct.append(((logits.argmax(-1) == targets) | (targets == IGNORED)).all(1))
    if not losses:
        return {"val_loss": float("nan"), "val_accuracy": float("nan")}
    return {
        "val_loss": float(torch.cat(losses).double().mean()),
        "val_accuracy": float(torch.cat(correct).double().mean()),
    }
