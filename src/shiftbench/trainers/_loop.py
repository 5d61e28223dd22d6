"""The training loop that gradient trainers share, and its keyed randomness.

The order of samples and every augmentation draw come from Philox keyed by blake2b of their identity
(seed, epoch, step), read through `random_raw`; only initialisation uses torch's generator, seeded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from shiftbench import nets

if TYPE_CHECKING:
    from shiftbench.train import TrainJob

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Loss = Callable[[torch.nn.Module, npt.NDArray[Any], torch.Tensor, "Draws"], torch.Tensor]
"""(net, prepared batch, labels, random draws of this step) -> scalar loss."""


class Draws:
    """A stream of random numbers that its identity decides."""

    def __init__(self, *identity: object) -> None:
        text = "\x1f".join(str(part) for part in identity)
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        self._source = np.random.Philox(key=np.frombuffer(key, "<u8"))

    def raw(self, count: int) -> npt.NDArray[np.uint64]:
        """Return `count` words of 64 random bits."""
        return self._source.random_raw(count)

    def uniform(self, *shape: int) -> Floats:
        """Return float64 in [0, 1) of a shape."""
        words = self.raw(int(np.prod(shape))) >> np.uint64(11)
        return (words.astype(np.float64) * 2.0**-53).reshape(shape)

    def integers(self, low: int, high: int, count: int) -> Ints:
        """Return `count` integers from low to high, high excluded."""
        return low + (self.uniform(count) * (high - low)).astype(np.int64)

    def permutation(self, count: int) -> Ints:
        """Return 0 .. count - 1 in random order."""
        return np.argsort(self.raw(count), kind="stable")

    def seed(self) -> int:
        """Return a seed for a torch generator."""
        return int(self.raw(1)[0] >> np.uint64(1))


def fresh_net(job: TrainJob) -> torch.nn.Module:
    """Build the job's net; its initial weights depend on seed and model only."""
    torch.manual_seed(Draws(job.seed, job.model, "init").seed())
    net: torch.nn.Module = job.plugin.build(job.model_params, len(job.classes))
    return net


def data(job: TrainJob, split: str) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """Return the prepared inputs of a split and its labels int64 (n,)."""
    samples = job.samples(split)
    inputs = nets.prepare(job.plugin, samples, job.model_params)
    return inputs, torch.tensor([int(sample.fields["label"]) for sample in samples])


def optimiser(net: torch.nn.Module, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return `sgd` (Nesterov momentum 0.9) or `adamw`; biases and norms are not decayed."""
    decayed = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in net.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": params["weight_decay"]}, {"params": plain, "weight_decay": 0.0}]
    if params["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=params["lr"], momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=params["lr"])


def fit(job: TrainJob, net: torch.nn.Module, loss: Loss) -> torch.nn.Module:
    """Train a net on the train split with a one-cycle rate, logging loss and validation accuracy."""
    inputs, labels = data(job, "train")
    val_inputs, val_labels = data(job, "val")
    params, device = job.params, nets.pick_device(job.device)
    net.to(device)
    steps = -(-len(labels) // params["batch_size"])
    update = optimiser(net, params)
    rate = torch.optim.lr_scheduler.OneCycleLR(update, params["lr"], total_steps=params["epochs"] * steps)
    for epoch in range(params["epochs"]):
        net.train()
        order, total = Draws(job.seed, epoch, "order").permutation(len(labels)), 0.0
        for step, rows in enumerate(np.array_split(order, steps)):
            value = loss(net, inputs[rows], labels[rows].to(device), Draws(job.seed, epoch, step))
            update.zero_grad()
            value.backward()
            update.step()
            rate.step()
            total += value.item() * len(rows)
        job.log((epoch + 1) * steps, "train_loss", total / len(labels))
        job.log((epoch + 1) * steps, "val_accuracy", accuracy(net, val_inputs, val_labels))
    return net


def accuracy(net: torch.nn.Module, inputs: npt.NDArray[Any], labels: torch.Tensor, batch: int = 256) -> float:
    """Return the share of rows whose largest logit is the label; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        hits = [
            (net(torch.from_numpy(inputs[i : i + batch]).to(device)).argmax(1).cpu() == labels[i : i + batch]).sum()
            for i in range(0, len(labels), batch)
        ]
    return float(sum(int(hit) for hit in hits) / len(labels))


def tensor(batch: npt.NDArray[Any], net: torch.nn.Module) -> torch.Tensor:
    """Return a prepared batch as a tensor on the net's device."""
    return torch.from_numpy(np.ascontiguousarray(batch)).to(next(net.parameters()).device)
