"""Training of a detector on boxes: its own loss, on batches in random order, mirrored and, if asked, recoloured.

`steps` batches are drawn from shuffled passes over the train split. The `extra` data set has the same classes, or
images without a box (m-hood's proximal images). `in_memory` changes no weights.

Source: the schedule is Smith and Topin 2018 (one cycle) unless `schedule` names another; `augmentation: edge_mix` is
ours, after Geirhos et al. 2019 (edges at random strength over the image, so that texture tells less).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _boxes
from shiftbench.plugins.models._boxes import Truth
from shiftbench.plugins.trainers import _steps

TASKS = ("detection",)
AUGMENTATIONS = ("none", "jitter", "edge_mix")
Pixels = npt.NDArray[np.uint8]
Images = list[Sample] | shards.Lookup


class Options(declare.Options):
    steps: _steps.Steps = 600
    batch_size: fields.BatchSize = 16
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.002
    weight_decay: fields.WeightDecay = 0.0001
    schedule: fields.Schedule = "one_cycle"
    flip: fields.Flip = True
    augmentation: Literal["none", "jitter", "edge_mix"] = Field(
        "none", description="change of colours: none, of each channel, or edges over the image"
    )
    start: _steps.Start = ""
    extra: _steps.Extra = ""
    extra_share: _steps.ExtraShare = 0.25
    extra_subset: int = Field(0, ge=0, description="number of extra images, the first ones; 0: all")
    subset: int = Field(0, ge=0, description="number of training images, the first ones; 0: all")
    in_memory: bool = Field(True, description="keep decoded images in memory; false: read each image when it is drawn")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, those of the extra images, and the weights to begin with."""
    return _steps.needs(params)


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step."""
    params = job.params
    if params["augmentation"] not in AUGMENTATIONS:
        raise ParamsError(
            f"boxes: augmentation is {params['augmentation']!r} ({suggest(params['augmentation'], AUGMENTATIONS)})"
        )
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"model {job.model!r} is a black box and cannot be trained on boxes")
    network: Any = _steps.begun(job)
    if not hasattr(network, "loss"):
        raise ModelError(f"model {job.model!r} has no loss of boxes; take a detector")
    fit(job, network)
    return dict(network.state_dict())


def fit(job: TrainJob, network: Any) -> None:
    """Train a network in place; logs the mean training loss of every 50 steps and the loss on val at the end."""
    device = nets.pick_device(job.device)
    _steps.fit(job, network, _drawn(job), lambda batch: network.loss(torch.from_numpy(batch[0]).to(device), batch[1]))
    job.log(job.params["steps"], "val_loss", _on_val(job, network, device))


def _drawn(job: TrainJob) -> Iterator[tuple[Pixels, list[Truth]]]:
    """Yield `steps` batches, changed as the options say."""
    own = _first(_split(job, "train"), job.params["subset"])
    for step, batch in enumerate(_steps.mixed(job, own, _extra(job))):
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"augment/{step}")
        yield augmented(*_prepared(job, batch), rng, job.params)


def _on_val(job: TrainJob, network: Any, device: torch.device) -> float:
    held, size = _split(job, "val"), job.params["batch_size"]
    values = []
    network.eval()
    with torch.inference_mode():
        for at in range(0, len(held), size):
            some = [held[number] for number in range(at, min(at + size, len(held)))]
            images, truths = _prepared(job, some)
            values.append(float(network.loss(torch.from_numpy(images).to(device), truths)))
    return float(np.mean(values)) if values else float("nan")


def _prepared(job: TrainJob, samples: Sequence[Sample]) -> tuple[Pixels, list[Truth]]:
    images = nets.prepare(job.plugin, samples, job.model_params)
    return images, [_boxes.truth(sample, images.shape[2:]) for sample in samples]


def _first(samples: Images, count: int) -> Images:
    """The first so many images, in memory; 0: all as they are."""
    return [samples[at] for at in range(min(count, len(samples)))] if count else samples


def _split(job: TrainJob, split: str) -> Images:
    """The images of a split of the dataset."""
    if job.params["in_memory"]:
        return job.samples(split)
    return next(
        shards.Lookup(path.parent)
        for ref, path in job.inputs.items()
        if ref.kind == "shards" and ref.parts[:2] == (job.dataset, split)
    )


def _extra(job: TrainJob) -> Images:
    """The images of the other dataset; none without it."""
    folder = _steps.extra(job)
    if folder is None:
        return []
    about = shards.manifest(folder)
    if tuple(about["classes"]) != job.classes:
        raise ParamsError(f"boxes: the extra images, {about['dataset']}, have other classes than {job.dataset}")
    lookup = shards.Lookup(folder)
    held = len(lookup) if job.params["in_memory"] else 0
    return _first(lookup, job.params["extra_subset"] or held)


def augmented(
    images: Pixels, truths: Sequence[Truth], rng: RandomStream, params: Mapping[str, Any]
) -> tuple[Pixels, list[Truth]]:
    """Images uint8 (n, 3, h, w), every second one mirrored with its boxes, recoloured as `augmentation` says.

    `jitter` multiplies each channel by 0.6 to 1.4; `edge_mix` blends with the negative of the edges by 0 to 1.
    """
    count, width = len(images), images.shape[3]
    mirrored = (rng.uniform(count) < 0.5) & params["flip"]
    images = np.where(mirrored[:, None, None, None], images[..., ::-1], images)
    turned = [
        Truth(_mirror(truth.boxes, width), truth.labels) if flip else truth
        for truth, flip in zip(truths, mirrored, strict=True)
    ]
    if params["augmentation"] == "jitter":
        factor = 0.6 + 0.8 * rng.uniform((count, 3, 1, 1))
        images = np.rint(np.clip(images * factor, 0, 255)).astype(np.uint8)
    if params["augmentation"] == "edge_mix":
        share = rng.uniform((count, 1, 1, 1))
        images = np.rint(images + share * (edges(images) - images)).astype(np.uint8)
    return np.ascontiguousarray(images), turned


def _mirror(boxes: torch.Tensor, width: int) -> torch.Tensor:
    return torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)


def edges(images: Pixels) -> npt.NDArray[np.float32]:
    """Dark edges on white, float32 (n, 3, h, w), of the mean of the channels: 255 less 4 times the gradient."""
    grey = images.astype(np.float32).mean(axis=1)
    steps = np.zeros_like(grey)
    steps[:, :, 1:] += np.abs(np.diff(grey, axis=2))
    steps[:, 1:] += np.abs(np.diff(grey, axis=1))
    dark = 255 - np.minimum(4 * steps, 255)
    return np.repeat(dark[:, None], 3, axis=1)
