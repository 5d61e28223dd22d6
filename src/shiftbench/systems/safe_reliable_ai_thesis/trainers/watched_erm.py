"""Empirical risk minimisation that logs loss, accuracy, ECE and MCS of train and val after each epoch.

It learns like `erm`. The analysis `overfitting` reads from the log where calibration overfits.

Source: trainers/erm.py; the gaps between training and validation by which Ao's thesis (arXiv:2308.03176, requirement
ii) would identify overfitting. Reconstructed: its method was not found.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.methods import temperature_scaling
from shiftbench.plugins.trainers import _loop, erm
from shiftbench.plugins.trainers._inputs import Inputs
from shiftbench.systems.safe_reliable_ai_thesis.methods import mcs_temperature_scaling as mcs

TASKS = ("classification",)
SEEN = 1000
"""Number of training samples that are evaluated: the first in the order of keys."""


class Options(erm.Options):
    warmup: _loop.Warmup = 0.0


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict after the last epoch."""

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        moved = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        return cross_entropy(network(_loop.tensor(moved, network)), labels, job.params["smoothing"])

    trained = _loop.fit(job, _loop.fresh_net(job), loss, validate=watch(job))
    return dict(trained.state_dict())


def watch(job: TrainJob, each: Callable[[], None] = lambda: None) -> Callable[[torch.nn.Module], float]:
    """Function for `_loop.fit` to call after each epoch; it returns the validation accuracy.

    Args:
        job: its train and val splits are evaluated, and its log gets train_nll, val_nll, ...
        each: is called after each epoch, too.
    """
    splits = {split: _loop.inputs(job, split) for split in ("train", "val")}
    steps = -(-len(splits["train"][1]) // job.params["batch_size"])
    epochs = iter(range(1, job.params["epochs"] + 1))

    def finish_epoch(model: torch.nn.Module) -> float:
        step, values = next(epochs) * steps, {}
        for split, (inputs, labels) in splits.items():
            count = min(len(labels), SEEN) if split == "train" else len(labels)
            values = measures(_logits(model, inputs, count), labels[:count].numpy())
            for name, value in values.items():
                if f"{split}_{name}" != "val_accuracy":  # which the loop logs
                    job.log(step, f"{split}_{name}", value)
        each()
        return values["accuracy"]

    return finish_epoch


def measures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Nll (nats), accuracy, ece and mcs of logits float64 (n, C) with labels int64 (n,)."""
    logs = log_softmax(logits, axis=1)
    levels = mcs.levels(logits, labels)
    overconfident, underconfident = levels[levels >= 0], levels[levels < 0]
    return {
        "nll": float(-logs[np.arange(len(labels)), labels].mean()),
        "accuracy": float((logits.argmax(axis=1) == labels).mean()),
        "ece": temperature_scaling.ece(logits, labels),
        "mcs": float(
            (len(overconfident) * overconfident.sum() + len(underconfident) * underconfident.sum()) / len(levels)
        ),
    }


def _logits(model: torch.nn.Module, inputs: Inputs, count: int, batch: int = 256) -> np.ndarray:
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        parts = [
            model(nets.to_inputs(inputs[low : min(low + batch, count)], device)).double().cpu()
            for low in range(0, count, batch)
        ]
    return torch.cat(parts).numpy()
