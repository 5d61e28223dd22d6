"""The training loop that gradient trainers share, and its keyed randomness.

The order of samples and every augmentation draw are words keyed by (seed, dataset, epoch, step); only
initialisation and dropout use torch's generator, seeded by the same identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base import registry, rng
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.trainers import _crops, _inputs
from shiftbench.plugins.trainers._inputs import Inputs

if TYPE_CHECKING:
    from shiftbench.plugins.contracts import TrainJob

Warmup = Annotated[float, Field(ge=0, le=1, description="share of the steps in which the learning rate rises from 0")]

Loss = Callable[[torch.nn.Module, npt.NDArray[Any], torch.Tensor, RandomStream], torch.Tensor]
"""(network, prepared batch, labels, random words of this step) -> scalar loss."""
Between = Callable[[torch.nn.Module, RandomStream], None]
"""(network with gradients, random words of this step): changes the gradients in place."""
Validate = Callable[[torch.nn.Module], float]


def fresh_net(job: TrainJob) -> torch.nn.Module:
    """Build the job's network; its initial weights depend on seed and model only.

    A model with `initial(params) -> tensors` replaces the weights of these names before training starts.
    """
    torch.manual_seed(rng.derive(job.seed, job.model, "init"))
    network: torch.nn.Module = job.plugin.build(job.model_params, len(job.classes))
    if hasattr(job.plugin, "initial"):
        state = {**network.state_dict(), **job.plugin.initial(job.model_params)}
        nets.load_into(network, state, f"{job.model}'s initial weights")
    return network


def data(job: TrainJob, split: str) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """The prepared inputs of a split, all in memory, and its labels int64 (n,)."""
    samples = job.samples(split)
    inputs = nets.prepare(job.plugin, samples, job.model_params)
    return inputs, _labels(samples)


def inputs(job: TrainJob, split: str) -> tuple[Inputs, torch.Tensor]:
    """The inputs of a split, read when they are asked for where they are many, and its labels int64 (n,)."""
    if job.folder is None:
        rows = job.samples(split)
        return prepared(job, rows), _labels(rows)
    folder = job.folder(split)
    samples = _inputs.of_folder(folder, _prepare(job))
    labelled: Iterable[Sample] = samples if isinstance(samples, list) else shards.read(folder, ("label",))
    return prepared(job, samples), _labels(labelled)


def count(job: TrainJob, split: str) -> int:
    """Number of samples of a split."""
    return len(job.samples(split) if job.folder is None else shards.Lookup(job.folder(split)))


def prepared(job: TrainJob, samples: _inputs.Samples | Path) -> Inputs:
    """The inputs of samples, or of those in a folder of shards, for the job's model and its option `crops`.

    Raises:
        ParamsError: crops that do not fit the model.
    """
    if isinstance(samples, Path):
        samples = _inputs.of_folder(samples, _prepare(job))
    crops = job.params.get("crops")
    if crops:
        _crops.check(crops, _prepare(job)([samples[0]]))
    return Inputs(samples, _prepare(job), crops)


def _prepare(job: TrainJob) -> _inputs.Prepare:
    return lambda samples: nets.prepare(job.plugin, samples, job.model_params)


def _labels(samples: Iterable[Sample]) -> torch.Tensor:
    return torch.tensor([int(sample.fields["label"]) for sample in samples])


def optimiser(job: TrainJob, network: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the option `optimizer` names, over what learns in the network; `lr`, `weight_decay`."""
    module = registry.find("optimizers", job.optimizer["use"])
    params = job.params
    made: torch.optim.Optimizer = module.make(network, params["lr"], params["weight_decay"], job.optimizer["options"])
    return made


def schedule(
    update: torch.optim.Optimizer, name: str, steps: int, warmup: float = 0.0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Learning rate schedule over `steps` steps; each optimiser group's own rate is the highest.

    `one_cycle`: up for 30%, down to nearly 0. `cosine`: down to 0. `warmup_cosine`: up from 0 for the share `warmup` of
    the steps, then down to a thousandth. `joined_cosine`: a cosine from the first step on, down to a thousandth, that a
    rise from 0 over the share `warmup` meets (SupContrast's code, and so CIDER's and OpenOOD's). `steps`: up from 0 for
    the share `warmup`, then a fifth after 30%, 60% and 80% (Wide ResNet's 60, 120 and 160 of 200 epochs). `constant`.

    Raises:
        ParamsError: another name.
    """
    rates = torch.optim.lr_scheduler
    if name == "one_cycle":
        peaks = [group["lr"] for group in update.param_groups]
        return rates.OneCycleLR(update, peaks, total_steps=steps)
    if name == "cosine":
        return rates.CosineAnnealingLR(update, steps)
    if name == "warmup_cosine":
        return rates.LambdaLR(update, lambda step: _warmed(step, steps, round(warmup * steps)))
    if name == "joined_cosine":
        return rates.LambdaLR(update, lambda step: _joined(step, steps, round(warmup * steps)))
    if name == "steps":
        return rates.LambdaLR(update, lambda step: _stepped(step, steps, round(warmup * steps)))
    if name == "constant":
        return rates.ConstantLR(update, factor=1.0)
    known = ("one_cycle", "cosine", "warmup_cosine", "joined_cosine", "steps", "constant")
    hint = suggest(name, known)
    raise ParamsError(f"schedule = {name!r} is unknown; {hint}")


def _warmed(step: int, steps: int, warm: int) -> float:
    if step < warm:
        return step / warm
    down = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    return 0.001 + 0.999 * down


def _stepped(step: int, steps: int, warm: int) -> float:
    if step < warm:
        return step / warm
    return float(0.2 ** sum(step >= share * steps for share in (0.3, 0.6, 0.8)))


def _joined(step: int, steps: int, warm: int) -> float:
    if step < warm:
        return step / warm * _warmed(warm, steps, 0)
    return _warmed(step, steps, 0)


def fit(
    job: TrainJob,
    network: torch.nn.Module,
    loss: Loss,
    train_mode: Callable[[torch.nn.Module], object] = torch.nn.Module.train,
    *,
    between: Between | None = None,
    validate: Validate | None = None,
) -> torch.nn.Module:
    """Train a network on the train split, logging loss and validation accuracy.

    Args:
        job: the options `epochs`, `batch_size`, `optimizer`, `lr` and `weight_decay` are read, and `schedule`
            (default `one_cycle`), `warmup`, and `crops` (`_crops`), which are made before `loss` sees the batch.
        network: trained in place.
        loss: of one batch.
        train_mode: puts the network in the mode in which it learns.
        between: what is done between the backward pass and the step: to gradients.
        validate: what is logged as `val_accuracy` after each epoch; default: the share of right predictions on val.
    """
    known, labels = inputs(job, "train")
    validate = validate or _on_val(job)
    params, device = job.params, nets.pick_device(job.device)
    nets.place(network, device)
    steps = -(-len(labels) // params["batch_size"])
    update = optimiser(job, network)
    rate = schedule(update, params.get("schedule", "one_cycle"), params["epochs"] * steps, params.get("warmup", 0.0))
    for epoch in range(params["epochs"]):
        train_mode(network)
        order, total = _words(job, epoch, "order").choice(len(labels)), 0.0
        for step, rows in enumerate(np.array_split(order, steps)):
            rng = _words(job, epoch, step)
            value = loss(network, known.seen(rows, rng), labels[rows].to(device), rng)
            update.zero_grad()
            value.backward()
            if between:
                between(network, rng)
            update.step()
            rate.step()
            total += value.item() * len(rows)
        job.log((epoch + 1) * steps, "train_loss", total / len(labels))
        job.log((epoch + 1) * steps, "val_accuracy", validate(network))
    return network


def _on_val(job: TrainJob) -> Validate:
    held, labels = inputs(job, "val")
    return lambda network: accuracy(network, held, labels)


def _words(job: TrainJob, epoch: int, step: int | str) -> RandomStream:
    return RandomStream(job.seed, job.trainer, job.dataset, f"{epoch}/{step}")


def accuracy(
    network: torch.nn.Module, inputs: npt.NDArray[Any] | Inputs, labels: torch.Tensor, batch: int = 256
) -> float:
    """The share of rows whose largest logit is the label; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        hits = [
            (network(nets.to_inputs(inputs[i : i + batch], device)).argmax(1).cpu() == labels[i : i + batch]).sum()
            for i in range(0, len(labels), batch)
        ]
    return float(sum(int(hit) for hit in hits) / len(labels))


def tensor(batch: npt.NDArray[Any], network: torch.nn.Module) -> Any:
    """A prepared batch as a network takes it (`nets.to_inputs`), on the network's device."""
    return nets.to_inputs(batch, next(network.parameters()).device)
