"""Not trained: the clean problems of a dataset, each with its solution, for models that look solutions up.

Source: none; the index is what such a model knows. It holds the very problems that are asked, since the question is not
whether an answer is found, but whether it still is when the prompt is written otherwise.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.recode.models import _bodies

TASKS = ("generation",)
HOLDS_TESTED = "a solution is looked up; asked is whether it is still found for another wording"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The clean problems."""
    return [refs.shards(params["dataset"], "test")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The problems as one tensor of bytes."""
    return _bodies.packed(job.samples("test"))
