"""NAME: how much surer a net is than it is right, on clean samples.

The metric `NAME` is the mean of confidence minus right (1) or wrong (0): above 0, the net is overconfident. A unit is a
sample, so that the interval is one over resampled samples.

Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2, without bins.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import formats
from shiftbench.plugins.contracts import Measurement, Observation


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the records of the benchmark's weights on clean samples, under its first method."""
    return [_records(params, name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield one observation for each weights and sample."""
    dataset, split, method = job.params["dataset"], job.params["split"], job.params["methods"][0]
    for name in job.params["checkpoints"]:
        for row in job.records(_records(job.params, name)).to_pylist():
            gap = row["confidence_e9"] / formats.E9 - row["correct"]
            yield Observation("NAME", row["key"], gap, name, dataset, split, method)


def _records(params: Mapping[str, Any], weights: str) -> Ref:
    clean = f"{params['dataset']}/{params['split']}/identity"
    return refs.records(Ref("checkpoints", weights), params["methods"][0], clean, "0")
