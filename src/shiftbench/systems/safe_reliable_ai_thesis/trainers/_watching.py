"""What a net's training and validation answers are like after each epoch: loss, accuracy, ECE and MCS, logged.

Source: the gaps between training and validation by which Ao's thesis (arXiv:2308.03176, requirement ii) would identify
overfitting. Reconstructed: its method was not found.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import log_softmax

from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.methods import temperature_scaling
from shiftbench.plugins.trainers import _loop
from shiftbench.plugins.trainers._inputs import Inputs
from shiftbench.systems.safe_reliable_ai_thesis.methods import mcs_temperature_scaling as mcs

SEEN = 1000
"""Training samples that are looked at: the first in the order of keys."""


def watch(job: TrainJob, each: Callable[[], None] = lambda: None) -> Callable[[torch.nn.Module], float]:
    """Return what `_loop.fit` calls after each epoch; it gives the validation accuracy.

    Args:
        job: whose train and val splits are looked at, and whose log is written: train_nll, val_nll, ...
        each: called after each epoch, too.
    """
    splits = {split: _loop.inputs(job, split) for split in ("train", "val")}
    steps = -(-len(splits["train"][1]) // job.params["batch_size"])
    epochs = iter(range(1, job.params["epochs"] + 1))

    def after(net: torch.nn.Module) -> float:
        step, found = next(epochs) * steps, {}
        for split, (inputs, labels) in splits.items():
            count = min(len(labels), SEEN) if split == "train" else len(labels)
            found = measures(_logits(net, inputs, count), labels[:count].numpy())
            for name, value in found.items():
                if f"{split}_{name}" != "val_accuracy":  # which the loop logs
                    job.log(step, f"{split}_{name}", value)
        each()
        return found["accuracy"]

    return after


def measures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return nll (nats), accuracy, ece and mcs of logits float64 (n, C) under labels int64 (n,)."""
    logs = log_softmax(logits, axis=1)
    found = mcs.levels(logits, labels)
    over, under = found[found >= 0], found[found < 0]
    return {
        "nll": float(-logs[np.arange(len(labels)), labels].mean()),
        "accuracy": float((logits.argmax(axis=1) == labels).mean()),
        "ece": temperature_scaling.ece(logits, labels),
        "mcs": float((len(over) * over.sum() + len(under) * under.sum()) / len(found)),
    }


def _logits(net: torch.nn.Module, inputs: Inputs, count: int, batch: int = 256) -> np.ndarray:
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        parts = [
            net(nets.to_inputs(inputs[low : min(low + batch, count)], device)).double().cpu()
            for low in range(0, count, batch)
        ]
    return torch.cat(parts).numpy()
