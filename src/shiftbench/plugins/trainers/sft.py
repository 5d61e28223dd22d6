"""Supervised fine-tuning on completions: the cross-entropy of their tokens, each from the prompt and those before it.

A sample's `meta.completions` are texts that may follow its prompt; each time that it is drawn, one of them is. Steps
see prompts of one length. The log has `train_loss` in nats per token, the mean over each `every` steps, and at the end
`val_loss`, over all completions of the val split.

Source: Ouyang et al. 2022, "Training language models to follow instructions", arXiv:2203.02155, section 3.5, step 1.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _prompts, _steps
from shiftbench.plugins.trainers._prompts import Prompts

TASKS = ("free_text",)
AT_ONCE = 256


class Options(declare.Options):
    groups: _prompts.Groups = Field([])
    balanced: _prompts.Balanced = True
    steps: _steps.Steps = 4000
    batch_size: fields.BatchSize = 96
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.002
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"
    every: int = Field(100, ge=1, description="steps between two lines of the log")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step."""
    if not hasattr(job.plugin, "closing"):
        raise ModelError(f"sft trains models that write token by token; {job.model!r} is none")
    params, prompts = job.params, Prompts(job)
    network: Any = _loop.fresh_net(job).to(nets.pick_device(job.device)).train()
    update = _loop.optimiser(job, network)
    rate = _loop.schedule(update, params["schedule"], params["steps"])
    losses = []
    for step in range(1, params["steps"] + 1):
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"{step}")
        samples = prompts.drawn(params["batch_size"], rng)
        picks = rng.raw(len(samples))
        texts = [
            _of(sample)[int(pick % np.uint64(len(_of(sample))))] for sample, pick in zip(samples, picks, strict=True)
        ]
        loss = _loss(job, network, samples, texts)
        update.zero_grad()
        loss.backward()
        update.step()
        rate.step()
        losses.append(loss.item())
        if step % params["every"] == 0 or step == params["steps"]:
            job.log(step, "train_loss", float(np.mean(losses)))
            losses = []
    job.log(params["steps"], "val_loss", _on_val(job, network.eval()))
    return dict(network.state_dict())


def _of(sample: Sample) -> list[str]:
    completions = sample.fields["meta"].get("completions")
    if not completions:
        raise DataError(f"{sample.key}: meta has no completions, which sft learns from")
    return list(completions)


def _loss(job: TrainJob, network: Any, samples: list[Sample], texts: list[str]) -> torch.Tensor:
    """The mean cross-entropy over the tokens of texts, their ends included."""
    model, options = job.plugin, job.model_params
    device = next(network.parameters()).device
    rows = [[*model.encoded(text, options), model.end(options)] for text in texts]
    length = max(map(len, rows))
    responses = torch.tensor([row + [model.end(options)] * (length - len(row)) for row in rows])
    inside = torch.arange(length) < torch.tensor([[len(row)] for row in rows])
    prompts = torch.from_numpy(model.prepare_batch(samples, options)).to(device)
    logits = network.response_logits(prompts, responses.to(device))
    return F.cross_entropy(logits[inside.to(device)], responses[inside].to(device))


@torch.no_grad()
def _on_val(job: TrainJob, network: Any) -> float:
    """The mean over all completions of val of their loss; NaN where there are none."""
    samples, total, count = job.samples("val"), 0.0, 0
    for places in job.plugin.of_one_length(samples, job.model_params):
        pairs = [(samples[at], text) for at in places for text in _of(samples[at])]
        for at in range(0, len(pairs), AT_ONCE):
            some = pairs[at : at + AT_ONCE]
            loss = _loss(job, network, [sample for sample, _ in some], [text for _, text in some])
            total, count = total + float(loss) * len(some), count + len(some)
    return total / count if count else float("nan")
