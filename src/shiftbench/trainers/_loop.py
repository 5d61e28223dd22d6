"""The training loop that gradient trainers share, and its keyed randomness.

The order of samples and every augmentation draw are words keyed by (seed, dataset, epoch, step); only
initialisation and dropout use torch's generator, seeded by the same identity.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from shiftbench import nets, rng
from shiftbench.errors import ParamsError, near
from shiftbench.rng import Words

if TYPE_CHECKING:
    from shiftbench.train import TrainJob

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "adamw": torch.optim.AdamW,
}
Loss = Callable[[torch.nn.Module, npt.NDArray[Any], torch.Tensor, Words], torch.Tensor]
"""(net, prepared batch, labels, random words of this step) -> scalar loss."""


def fresh_net(job: TrainJob) -> torch.nn.Module:
    """Build the job's net; its initial weights depend on seed and model only."""
    torch.manual_seed(rng.derive(job.seed, job.model, "init"))
    net: torch.nn.Module = job.plugin.build(job.model_params, len(job.classes))
    return net


def data(job: TrainJob, split: str) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """Return the prepared inputs of a split and its labels int64 (n,)."""
    samples = job.samples(split)
    inputs = nets.prepare(job.plugin, samples, job.model_params)
    return inputs, torch.tensor([int(sample.fields["label"]) for sample in samples])


def optimiser(net: torch.nn.Module, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return `sgd` (Nesterov momentum 0.9) or `adamw`; biases and norms are not decayed.

    Raises:
        ParamsError: another name.
    """
    if params["optimizer"] not in OPTIMIZERS:
        hint = near(params["optimizer"], OPTIMIZERS)
        raise ParamsError(f"optimizer = {params['optimizer']!r} is unknown; {hint}")
    decayed = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in net.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": params["weight_decay"]},
        {"params": plain, "weight_decay": 0.0},
    ]
    return OPTIMIZERS[params["optimizer"]](groups, lr=params["lr"])


def fit(
    job: TrainJob,
    net: torch.nn.Module,
    loss: Loss,
    train_mode: Callable[[torch.nn.Module], object] = torch.nn.Module.train,
) -> torch.nn.Module:
    """Train a net on the train split with a one-cycle rate, logging loss and validation accuracy.

    Args:
        job: the options `epochs`, `batch_size`, `optimizer`, `lr` and `weight_decay` are read.
        net: trained in place.
        loss: of one batch.
        train_mode: puts the net in the mode in which it learns.
    """
    inputs, labels = data(job, "train")
    val_inputs, val_labels = data(job, "val")
    params, device = job.params, nets.pick_device(job.device)
    nets.place(net, device)
    steps = -(-len(labels) // params["batch_size"])
    update = optimiser(net, params)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        update, params["lr"], total_steps=params["epochs"] * steps
    )
    for epoch in range(params["epochs"]):
        train_mode(net)
        order, total = _words(job, epoch, "order").choice(len(labels)), 0.0
        for step, rows in enumerate(np.array_split(order, steps)):
            value = loss(net, inputs[rows], labels[rows].to(device), _words(job, epoch, step))
            update.zero_grad()
            value.backward()
            update.step()
            rate.step()
            total += value.item() * len(rows)
        job.log((epoch + 1) * steps, "train_loss", total / len(labels))
        job.log((epoch + 1) * steps, "val_accuracy", accuracy(net, val_inputs, val_labels))
    return net


def _words(job: TrainJob, epoch: int, step: int | str) -> Words:
    return Words(job.seed, job.trainer, job.dataset, f"{epoch}/{step}")


def accuracy(
    net: torch.nn.Module, inputs: npt.NDArray[Any], labels: torch.Tensor, batch: int = 256
) -> float:
    """Return the share of rows whose largest logit is the label; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        hits = [
            (
                net(torch.from_numpy(inputs[i : i + batch]).to(device)).argmax(1).cpu()
                == labels[i : i + batch]
            ).sum()
            for i in range(0, len(labels), batch)
        ]
    return float(sum(int(hit) for hit in hits) / len(labels))


def tensor(batch: npt.NDArray[Any], net: torch.nn.Module) -> torch.Tensor:
    """Return a prepared batch as a tensor on the net's device."""
    return torch.from_numpy(batch).to(next(net.parameters()).device)
