"""Training of a model with a class and a mask head: cross-entropy, and the binary cross-entropy of the mask's pixels.

    loss = CE(class) + mask_share mean over real and tampered images of BCE(mask), a marked pixel weighing `marked`

A model without a mask head (`both`) has the first term alone. Of a real image nothing is marked; a wholly synthetic one
has no mask to be learned and is left out of that term. Few pixels are tampered (a twelfth of those that count), so that
a weight decides how much of a mask is found; it and the learning rate were chosen on validation pictures
(`benchmarks/choices.py`).

The log has `train_loss`, and at the end `val_accuracy` and `val_iou`, the mean IoU over tampered validation images.

Source: the losses of the specification of So-Fake's embedded detector; weighted cross-entropy as in U-Net, Ronneberger
et al. 2015, arXiv:1505.04597. The loop is `_steps.fit`, AdamW under one cycle.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.models import _images
from shiftbench.plugins.tasks import forgery as task
from shiftbench.plugins.trainers import _loop, _steps

TASKS = ("forgery",)


class Options(declare.Options):
    steps: _steps.Steps = 280
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.01
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"
    mask_share: float = Field(1.0, ge=0, description="weight of the masks' loss against that of the classes")
    marked: float = Field(6.0, gt=0, description="weight of a tampered pixel in the masks' loss")


class Known(NamedTuple):
    """Samples as tensors: images uint8 (n, 1, h, w), labels (n,), masks bool (n, h, w), and of which there is one."""

    images: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    masked: torch.Tensor


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step."""
    model: Any = _loop.fresh_net(job)
    train_tensors = tensors_of(job, job.samples("train"))
    params = job.params

    def loss(places: list[int]) -> torch.Tensor:
        batch = Known(*(part[places].to(next(model.parameters()).device) for part in train_tensors))
        features, marks = _features_and_marks(model, batch.images)
        total: torch.Tensor = cross_entropy(model.head(features), batch.labels)
        if marks is not None:
            masks = mask_loss(marks, batch.masks, batch.masked, params["marked"])
            total = total + params["mask_share"] * masks
        return total

    batches = _steps.mixed(job, range(len(train_tensors.labels)), [])
    _steps.fit(job, model, batches, loss, logged=70)
    for name, value in _val_metrics(model.eval(), tensors_of(job, job.samples("val"))).items():
        job.log(params["steps"], name, value)
    return dict(model.state_dict())


def _features_and_marks(model: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Features, and the logits of masks or None."""
    if not hasattr(model, "both"):
        return model.features(images), None
    features, marks = model.both(images)
    return features, marks


def mask_loss(marks: torch.Tensor, masks: torch.Tensor, masked: torch.Tensor, marked: float) -> torch.Tensor:
    """The mean over images with a mask, empty ones too, of the mean cross-entropy of a pixel, a scalar.

    Args:
        marks: logits (n, h, w).
        masks: bool (n, h, w).
        masked: bool (n,), of which images the mask is known.
        marked: weight of a marked pixel; others weigh 1.
    """
    weight = torch.where(masks, marked, 1.0)
    each = F.binary_cross_entropy_with_logits(marks, masks.float(), weight, reduction="none")
    return (each.mean((1, 2)) * masked).sum() / masked.sum().clamp(min=1)


def tensors_of(job: TrainJob, samples: Sequence[Sample]) -> Known:
    """Samples as tensors, masks in the size of the model's input."""
    size = job.model_params["size"]
    images = job.plugin.prepare_batch(samples, job.model_params) if samples else np.zeros((0, 1, size, size), np.uint8)
    masks = np.zeros((len(samples), size, size), bool)
    for row, sample in enumerate(samples):
        if "mask" in sample.fields:
            masks[row] = _images.resize(sample.fields["mask"], size, size, "nearest") > 0
    masked = ["mask" in sample.fields or job.classes[sample.fields["label"]] == task.REAL for sample in samples]
    labels = [sample.fields["label"] for sample in samples]
    return Known(
        torch.from_numpy(images),
        torch.tensor(labels, dtype=torch.int64),
        torch.from_numpy(masks),
        torch.tensor(masked, dtype=torch.bool),
    )


@torch.no_grad()
def _val_metrics(model: Any, val_tensors: Known) -> dict[str, float]:
    """Accuracy, and mean IoU over images with marked pixels; each where there is any."""
    device = next(model.parameters()).device
    right, overlaps = [], []
    for start in range(0, len(val_tensors.labels), 256):
        images, labels, masks, _ = (part[start : start + 256] for part in val_tensors)
        features, marks = _features_and_marks(model, images.to(device))
        right += (model.head(features).argmax(1).cpu() == labels).tolist()
        if marks is None:
            continue
        predicted = marks.cpu() >= 0
        union = (predicted | masks).sum((1, 2)).clamp(min=1)
        overlap = (predicted & masks).sum((1, 2)) / union
        overlaps += overlap[masks.any(2).any(1)].tolist()
    means = {"val_accuracy": right, "val_iou": overlaps}
    return {name: float(np.mean(each)) for name, each in means.items() if each}
