"""Overfitting, from what a trainer logged after each epoch (trainers/watched_erm.py).

Of each weights, one number each, without an interval:

    overfit_epoch    the first epoch in which validation loss (NLL) rises while validation accuracy does not fall:
                     calibration overfits; one more than there are epochs where there is none
    overfit          1 where there is such an epoch, else 0
    nll_gap, accuracy_gap, ece_gap, mcs_gap    validation less training, after the last epoch

Source: reconstructed. Ao's thesis (arXiv:2308.03176) names the identification of overfitting as its requirement (ii);
its method was not found.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.data import training_log
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

GAPS = ("nll", "accuracy", "ece", "mcs")
Log = Mapping[str, list[tuple[int, float]]]


class Options(declare.Options):
    trainers: list[str] = Field([], description="trainers whose logs are read; []: all")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints; their logs are next to them."""
    return [Ref("checkpoints", name) for name in _looked_at(params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the numbers of all weights."""
    for name in _looked_at(job.params):
        log = training_log.of(job.inputs[Ref("checkpoints", name)])
        for metric, value in numbers(log, name).items():
            columns = {"dataset": job.params["dataset"], "split": "val"}
            yield Observation(metric, "log", value, name, **columns)


def numbers(log: Log, name: str) -> dict[str, float]:
    """Numbers of a log.

    Args:
        log: name -> (step, value), in order.
        name: of the weights, for messages.

    Raises:
        ParamsError: the trainer does not watch.
    """
    series = [f"{split}_{measure}" for split in ("train", "val") for measure in GAPS]
    missing = [measure for measure in series if measure not in log]
    if missing:
        raise ParamsError(
            f"overfitting: the log of {name} has no {missing[0]}; train with watched_erm, or name trainers"
        )
    last = {measure: log[measure][-1][1] for measure in series}
    epoch = first_epoch(*([value for _, value in log[f"val_{measure}"]] for measure in ("nll", "accuracy")))
    epochs = len(log["val_nll"])
    gaps = {f"{measure}_gap": last[f"val_{measure}"] - last[f"train_{measure}"] for measure in GAPS}
    return {"overfit": float(epoch <= epochs), "overfit_epoch": float(epoch), **gaps}


def first_epoch(losses: list[float], accuracies: list[float]) -> int:
    """The first epoch, from 1, whose loss is above that before while accuracy is not below; else the one after.

    Example:
        >>> first_epoch([0.5, 0.4, 0.45], [0.8, 0.85, 0.85])
        3
    """
    for epoch in range(1, len(losses)):
        if losses[epoch] > losses[epoch - 1] and accuracies[epoch] >= accuracies[epoch - 1]:
            return epoch + 1
    return len(losses) + 1


def _looked_at(params: Mapping[str, Any]) -> list[str]:
    trainers = params["trainers"]
    return [
        name
        for name in params["checkpoints"]
        if not trainers or CheckpointName.of(Ref("checkpoints", name)).trainer in trainers
    ]
