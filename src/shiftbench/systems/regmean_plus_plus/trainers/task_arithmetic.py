"""Merging by adding up what tuning changed: start + scale * sum of (candidate - start).

Source: Ilharco et al., "Editing Models with Task Arithmetic", ICLR 2023, section 2 (addition).
"""

import torch
from pydantic import Field

from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _merging

TASKS = ("classification", "text_classification")
needs = _merging.needs


class Options(_merging.Options):
    scale: float = Field(0.3, description="factor of the summed changes")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The merged state dict."""
    scale = job.params["scale"]

    def combine(start: State, candidates: list[State]) -> State:
        return _merging.combined(
            [start, *candidates], lambda stacked: stacked[0] + scale * (stacked[1:] - stacked[0]).sum(0)
        )

    return _merging.merge(job, combine)
