"""The risk over amplitude and phase, as it was and as the model expected it, next to the tasks that were chosen.

A place is a cell of the training range, a fifth of each number: `severity` is the middle of its amplitudes, `group`
names its phases; under `distribution: pictures` these are angles and contrasts. `cell_risk` and `cell_predicted_risk`
are means over the test tasks in it (a unit is a task); a place without tasks has no row. `cell_chosen` is the cell's
share of the chosen tasks in the second half of training, times the number of cells: 1 is as often as by chance (a unit
is an entry of the log).

Source: the surfaces that MPTS draws (thu-rllab/MPTS, sinusoid/utils.py, `plot_3d_data_train`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.refs import Ref, records
from shiftbench.data import training_log
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.mpts.trainers import _candidates
from shiftbench.systems.mpts.trainers._meta import CELLS

COLUMNS = {"cell_risk": "risk_e9", "cell_predicted_risk": "predicted_risk_e9"}


class Options(declare.Options):
    distribution: Literal["sinusoids", "pictures"] = Field("sinusoids", description="distribution of the tasks")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Weights of the benchmark, and their records on the clean split."""
    checkpoints = [Ref("checkpoints", name) for name in params["checkpoints"]]
    return [*checkpoints, *(_records(name, params) for name in params["checkpoints"])]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of each weights."""
    for name in job.params["checkpoints"]:
        yield from _risks(job, name)
        log = training_log.of(job.inputs[Ref("checkpoints", name)])
        ((last, _),) = log["task_evaluations"]
        for entry, rows in log.items():
            kind, _, cell = entry.partition("/")
            if kind == "chosen":
                at = (int(cell[: cell.index("/")]), int(cell[cell.index("/") + 1 :]))
                for step, share in rows:
                    if 2 * step > last:
                        yield _at(job, name, "cell_chosen", f"{step:09d}", share * CELLS**2, at)


def _risks(job: Measurement, name: str) -> Iterator[Observation]:
    bounds = _candidates.find(job.params["distribution"]).bounds
    for row in job.records(_records(name, job.params)).to_pylist():
        at = cell_of(row["identifier"], bounds)
        for metric, column in COLUMNS.items():
            if row[column] is not None:
                yield _at(job, name, metric, row["key"], row[column] / E9, at)


def _records(name: str, params: Mapping[str, Any]) -> Ref:
    stream = f"{params['dataset']}/{params['split']}/identity"
    return records(Ref("checkpoints", name), params["methods"][0], stream, "0")


def _at(job: Measurement, name: str, metric: str, key: str, value: float, cell: tuple[int, int]) -> Observation:
    distribution = _candidates.find(job.params["distribution"])
    (low, high), (first, last) = distribution.bounds
    middle = low + (cell[0] + 0.5) / CELLS * (high - low)
    ends = (first + part / CELLS * (last - first) for part in (cell[1], cell[1] + 1))
    group = "{} {:.2f} to {:.2f}".format(distribution.names[1], *ends)
    return Observation(
        metric, key, value, name, job.params["dataset"], job.params["split"],
        severity=round(middle, 2), group=group,
    )  # fmt: skip


def cell_of(identifier: list[float], bounds: _candidates.Bounds) -> tuple[int, int]:
    """Cell of a task of the training range: which fifth of the first number, and of the second."""
    parts = [int((value - low) / (high - low) * CELLS) for value, (low, high) in zip(identifier, bounds, strict=False)]
    return min(parts[0], CELLS - 1), min(parts[1], CELLS - 1)
