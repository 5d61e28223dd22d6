"""A class that a recalibrator makes less sure of itself than it should be: chosen on val, measured on test.

For each weights the class is chosen whose under-confidence the method worsens most on val: by how much min(level, 0)
falls, the level being the mean of confidence - [right] over the samples of the class (metrics/miscalibration.py). On
the test split each sample of that class is a unit, and `class_level` under `plain` and under the method its confidence
- [right]. `chosen_class` is the class's number.

Source: Ao, Rueger and Siddharthan, "Two Sides of Miscalibration", UAI 2023, section 1: common recalibrators worsen
under-confident predictions. The choice on val is ours: the worst of ten classes on test would always be worse.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import CheckpointName, Ref, without_seed
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

Floats = NDArray[np.float64]


class Options(declare.Options):
    method: str = Field("temperature_scaling", description="recalibrating method")
    nets: list[str] = Field([], description="models that are measured, without their seeds; []: all")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records of all checkpoints, without and with the method, on val and on the benchmark's split."""
    return [
        ref
        for name in _measured(params)
        for method in ("plain", params["method"])
        for ref in (_val(name, method), _test(params, name, method))
    ]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of the class that is chosen for each weights."""
    method = job.params["method"]
    for name in _measured(job.params):
        plain_levels, method_levels = (
            levels(job.records(_val(name, method_name))) for method_name in ("plain", method)
        )
        lowered = int(np.argmax(np.minimum(plain_levels, 0) - np.minimum(method_levels, 0)))
        labels_of_row = {"model": name, "dataset": job.params["dataset"], "split": job.params["split"]}
        labels_of_row |= {"shift": "identity", "severity": 0.0}
        yield Observation("chosen_class", "class", float(lowered), method=method, **labels_of_row)
        for method_name in ("plain", method):
            table = job.records(_test(job.params, name, method_name))
            gaps, labels = gaps_of(table)
            for key, gap, label in zip(table["key"].to_pylist(), gaps, labels, strict=True):
                if label == lowered:
                    yield Observation("class_level", key, float(gap), method=method_name, **labels_of_row)


def gaps_of(table: pa.Table) -> tuple[Floats, NDArray[np.int64]]:
    """Confidence - [right] of each record, float64 (n,), and its class, -1: none."""
    right = table["correct"].fill_null(fill_value=False).to_numpy().astype(float)
    return table["confidence_e9"].to_numpy() / E9 - right, table["label"].to_numpy()


def levels(table: pa.Table) -> Floats:
    """The level of each class, float64 (K,); 0 of one without a sample."""
    gaps, labels = gaps_of(table)
    known = labels >= 0
    number = np.bincount(labels[known])
    return np.bincount(labels[known], gaps[known]) / np.maximum(number, 1)


def _measured(params: Mapping[str, Any]) -> list[str]:
    models = params["nets"]
    return [name for name in params["checkpoints"] if not models or without_seed(name)[0] in models]


def _val(weights: str, method: str) -> Ref:
    checkpoint = Ref("checkpoints", weights)
    return refs.records(checkpoint, method, f"{CheckpointName.of(checkpoint).dataset}/val/identity", "0")


def _test(params: Mapping[str, Any], weights: str, method: str) -> Ref:
    stream = f"{params['dataset']}/{params['split']}/identity"
    return refs.records(Ref("checkpoints", weights), method, stream, "0")
