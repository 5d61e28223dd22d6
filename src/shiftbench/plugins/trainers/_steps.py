"""Training by a number of steps: the loop, the weights to begin with, and batches that hold images of another dataset.

For trainers whose batches are no rows of one array (`_loop.py` has those, by epochs). The checkpoint `start` is of the
same seed, and without a prefix of the same dataset and model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop

Steps = Annotated[int, Field(ge=1, description="training steps")]
Start = Annotated[
    str, Field(description="checkpoint to start from: TRAINER, or DATASET/MODEL-TRAINER; empty: fresh weights")
]
Extra = Annotated[str, Field(description="data set of extra training samples; empty: none")]
ExtraShare = Annotated[float, Field(ge=0, le=1, description="share of each batch that the extra samples have")]

Batch = TypeVar("Batch")
Item = TypeVar("Item")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, those of the extra images, and the weights to begin with."""
    references = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    if params.get("extra"):
        references.append(refs.shards(params["extra"], "train"))
    if params.get("start"):
        dataset, _, name = params["start"].rpartition("/")
        model, _, trainer = name.rpartition("-")
        who = dataset or params["dataset"], model or params["model"]
        references.append(refs.checkpoint(*who, trainer, params["seed"]))
    return references


def begun(job: TrainJob) -> torch.nn.Module:
    """The job's network, with the weights of `start` where it names some."""
    network = _loop.fresh_net(job)
    for ref, path in job.inputs.items():
        if ref.kind == "checkpoints":
            nets.load_into(network, nets.read_state(path), path)
    return network


def extra(job: TrainJob) -> Path | None:
    """The folder of shards of the extra images; None without them.

    Raises:
        ParamsError: `extra_share` is no share.
    """
    share = job.params["extra_share"]
    if not 0 <= share <= 1:
        raise ParamsError(f"{job.trainer}: extra_share is {share:g}; expected 0 to 1")
    return next(
        (path.parent for ref, path in job.inputs.items() if ref.kind == "shards" and ref.parts[0] != job.dataset), None
    )


def mixed(
    job: TrainJob, own: Sequence[Item] | shards.Lookup, others: Sequence[Item] | shards.Lookup
) -> Iterator[list[Any]]:
    """Yield `steps` batches of `batch_size` out of shuffled passes over each; the last places are of the others."""
    size = job.params["batch_size"]
    several = round(size * job.params["extra_share"]) if len(others) else 0
    first, second = _endless(job, own, "order"), _endless(job, others, "extra")
    for _ in range(job.params["steps"]):
        batch = [next(first) for _ in range(size - several)]
        yield batch + [next(second) for _ in range(several)]


def _endless(job: TrainJob, items: Sequence[Any] | shards.Lookup, name: str) -> Iterator[Any]:
    epoch = 0
    while len(items):
        words = RandomStream(job.seed, job.trainer, job.dataset, f"{name}/{epoch}")
        yield from (items[at] for at in words.choice(len(items)))
        epoch += 1


def fit(
    job: TrainJob,
    network: torch.nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[Batch], torch.Tensor],
    logged: int = 50,
) -> None:
    """Train a network in place, one step for each batch; logs the mean training loss of every `logged` steps.

    Args:
        job: the options `steps`, `optimizer`, `lr` and `weight_decay` are read, and `schedule` (default `one_cycle`).
        network: is put on its device and in training mode before the first batch is drawn.
        batches: `steps` of them, drawn one by one.
        loss: of one batch.
        logged: steps between two lines of the log; the last step has one, too.
    """
    steps, losses = job.params["steps"], []
    nets.place(network, nets.pick_device(job.device)).train()
    update = _loop.optimiser(job, network)
    rate = _loop.schedule(update, job.params.get("schedule", "one_cycle"), steps)
    for step, batch in enumerate(batches, 1):
        value = loss(batch)
        update.zero_grad()
        value.backward()
        update.step()
        rate.step()
        losses.append(value.item())
        if step % logged == 0 or step == steps:
            job.log(step, "train_loss", float(np.mean(losses)))
            losses = []
