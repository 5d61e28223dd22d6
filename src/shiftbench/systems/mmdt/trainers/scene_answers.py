"""Training of an answerer of scenes: the cross-entropy of the slots of its answers, all tasks mixed.

Batches come from shuffled passes over the train split. The log has `train_loss`, and at the end `val_accuracy`, the
share of val answers with all slots right.

Source: ours; the loop is `_steps.fit`, AdamW under one cycle.
"""

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _steps

TASKS = ("free_text",)


class Options(declare.Options):
    steps: int = Field(600, ge=1, description="training steps")
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step.

    Raises:
        ModelError: the model has no slots.
    """
    if not hasattr(job.plugin, "SLOTS"):
        raise ModelError(f"scene_answers trains scene_cnn; {job.model!r} answers otherwise")
    model = _loop.fresh_net(job)
    samples = job.samples("train")
    inputs, labels = _prepare(job, samples)

    def loss(places: list[int]) -> torch.Tensor:
        at = torch.tensor(places)
        device = next(model.parameters()).device
        batch = {name: value[at].to(device) for name, value in inputs.items()}
        return slot_loss(model(batch), labels[at].to(device), job.plugin.NONE) / len(places)

    batches = _steps.mixed(job, range(len(samples)), [])
    _steps.fit(job, model, batches, loss, logged=100)
    job.log(job.params["steps"], "val_accuracy", _accuracy(job, model.eval()))
    return dict(model.state_dict())


def slot_loss(logits: torch.Tensor, labels: torch.Tensor, none: int) -> torch.Tensor:
    """The sum of the cross-entropies of slots, logits (n, slots, k), labels (n, slots) or `none`."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=none, reduction="sum")


def _prepare(job: TrainJob, samples: list[Sample]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    batch = job.plugin.prepare_batch(samples, job.model_params)
    inputs = {name: torch.from_numpy(np.ascontiguousarray(batch[name])) for name in batch.dtype.names}
    return inputs, torch.tensor([job.plugin.labels(sample) for sample in samples])


@torch.no_grad()
def _accuracy(job: TrainJob, model: torch.nn.Module) -> float:
    """The share of val samples of which every slot that is asked is right."""
    samples = job.samples("val")
    if not samples:
        return float("nan")
    inputs, labels = _prepare(job, samples)
    device = next(model.parameters()).device
    predictions = model({name: value.to(device) for name, value in inputs.items()}).argmax(2).cpu()
    correct = (predictions == labels) | (labels == job.plugin.NONE)
    return float(correct.all(1).float().mean())
