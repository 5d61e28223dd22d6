"""Shares of the ID image that a training with mixtures really saw: a histogram of `lam` from the training logs.

`mixing_share` is the share of training steps whose lam is in each bin; the middle of the bin is in the column
`severity`, and the unit is the step. Models whose log has no `lam` have no rows. CutMix's lam is that of the pixels
that are left, so it is larger than what was drawn where boxes are cut off by the border.

Source: ours; the two presets of `trainers/mixoe.py` differ in little else.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation


class Options(declare.Options):
    bins: int = Field(10, ge=1, description="parts of the range of lam, 0 to 1")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The benchmark's checkpoints, whose logs are in the same folders."""
    return [Ref("checkpoints", name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield, for each weights, bin and step, whether the step's lam is in the bin."""
    bins = job.params["bins"]
    for name in job.params["checkpoints"]:
        file = job.inputs[Ref("checkpoints", name)]
        log = schema.read(file.with_name(f"{file.name}.log.parquet"), form=formats.LOG)
        shares = {row["step"]: row["value"] for row in log.to_pylist() if row["name"] == "lam"}
        for step, share in shares.items():
            inside = min(int(share * bins), bins - 1)
            for one in range(bins):
                yield Observation(
                    "mixing_share",
                    f"step/{step:06d}",
                    float(one == inside),
                    name,
                    job.params["dataset"],
                    split="train",
                    severity=(one + 0.5) / bins,
                )
