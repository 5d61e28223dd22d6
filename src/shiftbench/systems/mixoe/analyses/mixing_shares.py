"""Shares of the ID image that a training with mixtures really saw: a histogram of `lam` from the training logs.

`mixing_share` is the share of training steps whose lam falls into each tenth of [0, 1]; the middle of the tenth stands
in the column `severity`, and the unit is the step. Weights whose log holds no `lam` have no rows. CutMix's lam is that
of the pixels that are left, so it is larger than what was drawn where boxes are cut off by the border.

Source: ours; the two presets of `trainers/mixoe.py` differ in little else.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.plugins.contracts import Measurement, Observation

PARAMS: dict[str, object] = {"bins": 10}


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
