"""Logs of trainings as rows: the loss at the end, and the errors of the iteration on real momenta.

- `training_loss`: `train_loss` over the last entries of the log; a unit is an entry, the same for all weights of
  a benchmark, since they see the same windows in the same order;
- `ns_error`: entries `ns_error/METHOD/LAYER/SHAPE` (trainers/pretraining.py); `method` names the coefficients,
  `dataset` is `momentum`, `group` the layer and shape, and a unit is a layer at a step.

Source: ROOT, arXiv 2511.20626: losses after 10 B tokens, and the figure of relative errors.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation


class Options(declare.Options):
    last: int = Field(20, ge=1, description="last entries of the log that count")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints of the benchmark."""
    return [Ref("checkpoints", name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of each weights' log."""
    for name in job.params["checkpoints"]:
        log = training_log.of(job.inputs[Ref("checkpoints", name)])
        for step, value in log.get("train_loss", [])[-job.params["last"] :]:
            yield Observation("training_loss", f"{step:09d}", value, name, job.params["dataset"], split="train")
        for series, rows in log.items():
            kind, _, method_and_group = series.partition("/")
            if kind == "ns_error":
                method, _, group = method_and_group.partition("/")
                for step, value in rows:
                    key = f"{name}/{group}/{step}"
                    yield Observation("ns_error", key, value, name, "momentum", method=method, group=group)
