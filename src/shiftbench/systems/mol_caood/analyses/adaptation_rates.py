"""The rates at which models adapt best, and the validation curves that they were chosen from, out of the weights' logs.

For each weights of the benchmark and each kind of adaptation that its trainer searched a rate for: `search_accuracy`,
the mean accuracy on the validation drift, with the rate in place of a severity, and `searched_rate`, what was chosen
(or, for a meta-trained network, the rate that it was trained for). The method names the kind.

Source: none; it shows what `trainers/oe_shifted.py` and `mol_r.py` log. One number each, so that there is no interval.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation


class Options(declare.Options):
    kinds: list[str] = Field(["few_shot", "tent"], description="kinds of adaptation whose rates were searched")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints of the benchmark."""
    return [Ref("checkpoints", name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the curves and the chosen rates."""
    dataset = job.params["dataset"]
    for name in job.params["checkpoints"]:
        log = training_log.of(job.inputs[Ref("checkpoints", name)])
        for kind in job.params["kinds"]:
            curve = zip(log.get(f"{kind}_rates", ()), log.get(f"{kind}_accuracy", ()), strict=True)
            for (_, rate), (_, accuracy) in curve:
                yield Observation("search_accuracy", "drift", accuracy, name, dataset, "val", kind, severity=rate)
            for _, rate in log.get(f"{kind}_rate", ()):
                yield Observation("searched_rate", "drift", rate, name, dataset, "val", kind)
