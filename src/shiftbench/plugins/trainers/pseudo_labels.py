"""Fine-tuning on pseudo-labels: the network learns unlabelled target images under the labels that a method gave them.

    method: plain   the network's own predictions: self-training
    method: other   the predictions under that method, which may know more than the network (a second model, few labels)

The predictions are those of the checkpoint `start` on the target, read from its records. True labels are not read. A
model must never see the samples that judge it: samples of `held_out` (same `split`) among the target's, by key, are an
error and are not filtered. Only the keys of these sets are read, from records, never their images.

The loss is over the target's classes alone where the model has more. The learning rate falls along a cosine over all
steps.

Source: Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", ICML
workshop 2013, section 2.1; differs: one round of hard labels on the target alone, where Lee mixes them with labelled
images and takes them anew for each step.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import formats, schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.trainers import _loop, finetune

TITLE = "pseudo-labels"
TASKS = ("classification",)
TRAINED = ("encoder", "all")


class Options(declare.Options):
    start: finetune.Start = "erm"
    target: str = Field("", description="data set of the unlabelled images; empty: that of the training")
    split: Literal["train", "val", "test"] = Field("train", description="split of the unlabelled images")
    shift: str = Field("identity", description="shift of the unlabelled images")
    severity: float = Field(0.0, ge=0, description="severity of that shift")
    method: str = Field("plain", description="method whose predictions are the labels; `plain`: the network alone")
    confidence: float = Field(0.0, ge=0, le=1, description="least confidence of a label; images with less are left out")
    held_out: list[str] = Field([], description="data sets whose samples must not be among the unlabelled images")
    trained: Literal["encoder", "all"] = Field("encoder", description="train all but the head, or the whole network")
    statistics: finetune.Statistics = "learnt"
    epochs: fields.Epochs = 3
    batch_size: fields.BatchSize = 32
    optimizer: fields.Optimizer = "adam"
    lr: fields.LearningRate = 0.0003
    weight_decay: fields.WeightDecay = 0.0
    floor: float = Field(0.1, ge=0, le=1, description="learning rate of the last step, as a share of `lr`")
    factor: float = Field(1.0, gt=0, description="factor of the logits in the loss")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights to begin with, their records on the target, its shards, those held out, and val."""
    split = params["split"]
    start = refs.checkpoint(params["dataset"], params["model"], params["start"], params["seed"])
    references = [
        start,
        *_target(start, params, params["dataset"]),
        *(_kept_apart(start, name, split) for name in params["held_out"]),
        refs.shards(params["dataset"], "val"),
    ]
    return list(dict.fromkeys(references))


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch; `kept`, `pseudo_loss` and `val_accuracy` are logged."""
    mode = finetune.mode(job.params["statistics"])
    network = finetune.begin(job)
    if job.params["trained"] not in TRAINED:
        raise ParamsError(f"trained = {job.params['trained']!r}; {suggest(job.params['trained'], TRAINED)}")
    for parameter in network.get_submodule("head").parameters():
        parameter.requires_grad = job.params["trained"] == "all"
    rows, labels = labelled(job)
    job.log(0, "kept", len(rows))
    nets.place(network, nets.pick_device(job.device))
    _fit(job, network, rows, labels, mode)
    return dict(network.state_dict())


def labelled(job: TrainJob) -> tuple[npt.NDArray[np.int64], torch.Tensor]:
    """Positions of the target's samples to learn from, int64 (n,), and the pseudo-labels of all, int64 (N,).

    Raises:
        DataError: none is as confident as asked, the records are not of the target, or some of it are held out.
    """
    records, images = _target(_start(job), job.params, job.dataset)
    table = schema.read(job.inputs[records])
    keys = [entry.key for entry in shards.index(_folder(job, images))]
    if table.column("key").to_pylist() != keys:
        raise DataError(f"{job.trainer}: records and shards of the target hold other samples; evaluate again")
    refuse_held_out(job, set(keys))
    confidences = table.column("confidence_e9").to_numpy()
    rows = np.flatnonzero(confidences >= job.params["confidence"] * formats.E9)
    if not len(rows):
        raise DataError(
            f"{job.trainer}: none of {len(keys)} pseudo-labels has a confidence of "
            f"{job.params['confidence']:g}; set a lower one"
        )
    return rows, torch.from_numpy(table.column("prediction").to_numpy().astype(np.int64))


def classes(job: TrainJob, folder: Path) -> npt.NDArray[np.int64]:
    """The classes of the model that the target has, ascending, int64 (A,)."""
    own = tuple(shards.manifest(folder)["classes"])
    return LabelSpace(tuple(job.classes), own).allowed.astype(np.int64)


def refuse_held_out(job: TrainJob, keys: set[str]) -> None:
    """Refuse target samples that are held out.

    Args:
        job: the option `held_out` names datasets.
        keys: of the target.

    Raises:
        DataError: some are; names dataset and sample.
    """
    for name in job.params["held_out"]:
        table = schema.read(job.inputs[_kept_apart(_start(job), name, job.params["split"])])
        shared = sorted(keys.intersection(table.column("key").to_pylist()))
        if shared:
            raise DataError(
                f"{job.trainer}: {len(shared)} of {len(keys)} target samples, first {shared[0]!r}, are held out in "
                f"{name!r}; cut the two apart, with other `slice`"
            )


def _kept_apart(start: Ref, name: str, split: str) -> Ref:
    """The records that hold the keys of a set that is held out."""
    return refs.records(start, "plain", f"{name}/{split}/identity", "0")


def _target(start: Ref, params: Mapping[str, Any], dataset: str) -> tuple[Ref, Ref]:
    """A method's records of the target, and the target's images."""
    name, split, shift = params["target"] or dataset, params["split"], params["shift"]
    step = refs.number(params["severity"])
    said = refs.records(start, params["method"], f"{name}/{split}/{shift}", step)
    return said, refs.shards(name, split, shift, params["severity"])


def _start(job: TrainJob) -> Ref:
    return next(ref for ref in job.inputs if ref.kind == "checkpoints")


def _folder(job: TrainJob, images: Ref) -> Path:
    """Folder of shards, which may be those that are not passed on."""
    return next(path.parent for ref, path in job.inputs.items() if (ref.kind, ref.name) == (images.kind, images.name))


def rate(step: int, steps: int, floor: float) -> float:
    """The rate at a step, as a share of the highest: a cosine from 1 down to `floor`.

    Example:
        >>> [round(rate(step, 4, 0.1), 3) for step in range(5)]
        [1.0, 0.868, 0.55, 0.232, 0.1]
    """
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def _fit(
    job: TrainJob,
    network: nn.Module,
    rows: npt.NDArray[np.int64],
    labels: torch.Tensor,
    mode: Callable[[nn.Module], object],
) -> None:
    params, (_, images) = job.params, _target(_start(job), job.params, job.dataset)
    known = _loop.prepared(job, _folder(job, images))
    allowed = torch.from_numpy(classes(job, _folder(job, images)))
    labels = torch.searchsorted(allowed, labels)
    held, truth = _loop.inputs(job, "val")
    steps = -(-len(rows) // params["batch_size"])
    update = _loop.optimiser(job, network)
    slower = torch.optim.lr_scheduler.LambdaLR(
        update, lambda step: rate(step, steps * params["epochs"], params["floor"])
    )
    for epoch in range(params["epochs"]):
        mode(network)
        words = RandomStream(job.seed, job.trainer, job.dataset, f"{epoch}/order")
        total = 0.0
        for some in np.array_split(rows[words.choice(len(rows))], steps):
            logits = network(_loop.tensor(known.seen(some, words), network)) * params["factor"]
            own = logits[:, allowed.to(logits.device)]
            loss = cross_entropy(own, labels[some].to(own.device))
            update.zero_grad()
            loss.backward()
            update.step()
            slower.step()
            total += loss.item() * len(some)
        job.log((epoch + 1) * steps, "pseudo_loss", total / len(rows))
        job.log((epoch + 1) * steps, "val_accuracy", _loop.accuracy(network, held, truth))
