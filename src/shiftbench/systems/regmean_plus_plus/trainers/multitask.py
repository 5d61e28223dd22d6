"""One trunk, a head for each task: trained on all tasks of a `united` dataset, or tuned on one of them.

Source: Caruana, "Multitask Learning", Machine Learning 28, 1997. The model's one linear head holds the heads of all
tasks, and the cross-entropy of an image runs over the classes of its own task alone. With
`head: false`, models tuned on different tasks can be merged under the same heads (trainers/regmean.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.regmean_plus_plus.trainers import _tasks

TASKS = ("classification",)


class Options(declare.Options):
    start: str = Field("", description="trainer whose checkpoint is tuned further; empty: a fresh model")
    tasks: list[str] = Field([], description="tasks that are trained on; []: all")
    images: int = Field(0, ge=0, description="training images of each task; 0: all")
    head: bool = Field(True, description="train the heads too; false: keep them, so that tuned models can be merged")
    epochs: fields.Epochs = 6
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the checkpoint that is tuned further."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    if not params["start"]:
        return shards
    start = refs.checkpoint(params["dataset"], params["model"], params["start"], params["seed"])
    return [start, *shards]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch.

    `tasks` are names of the united datasets, none means all; `images` is how many training images of each task
    are used, 0 all of them.
    """
    model = _loop.fresh_net(job)
    for ref, path in job.inputs.items():
        if ref.kind == "checkpoints":
            nets.load_into(model, nets.read_state(path), path)
    model.get_submodule("head").requires_grad_(job.params["head"])
    task_job = replace(job, samples=samples_of_tasks(job), folder=None)
    samples = task_job.samples("train")
    different_tasks = _tasks.different_tasks(samples, len(job.classes))

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        logits = model(_loop.tensor(batch, model))
        return F.cross_entropy(_tasks.within_task(logits, labels, different_tasks), labels)

    val_accuracies = _tasks.accuracies(task_job, task_job.samples("val"))
    fitted = _loop.fit(task_job, model, loss, validate=lambda model: _tasks.mean(val_accuracies(model)))
    for task, value in val_accuracies(fitted).items():
        job.log(0, f"val_accuracy_{task}", value)
    return dict(fitted.state_dict())


def samples_of_tasks(job: TrainJob) -> Callable[[str], list[Sample]]:
    """Function: split -> its samples of the job's tasks, in training `images` of each.

    Raises:
        ParamsError: a task has no samples; names those there are.
    """

    def samples(split: str) -> list[Sample]:
        by_task = _tasks.by_task(job.samples(split))
        tasks: Sequence[str] = job.params["tasks"] or sorted(by_task)
        unknown = [task for task in tasks if task not in by_task]
        if unknown:
            raise ParamsError(f"{job.dataset} has no task {unknown[0]!r}; it has {', '.join(by_task)}")
        amount = job.params["images"] if split == "train" else 0
        subsets = (splits.subset(by_task[task], amount or None) for task in tasks)
        return [sample for part in subsets for sample in part if isinstance(sample, Sample)]

    return samples
