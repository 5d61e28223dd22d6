"""Merging after trimming small changes and electing a sign per parameter: TIES.

Source: Yadav et al., "TIES-Merging: Resolving Interference When Merging Models", NeurIPS 2023, algorithm 1. As in the
authors' code, parameters whose kept changes add up to 0 take the sign of most others. The kept
changes of a model are the largest over all its tensors together. Changes are in float64, of one tensor at a time, so
that large models fit into memory.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _merging

TASKS = ("classification", "text_classification")
needs = _merging.needs
HOW = ("sum", "mean")


class Options(_merging.Options):
    scale: float = Field(0.3, description="factor of the merged changes")
    keep: float = Field(0.2, ge=0, le=1, description="share of the largest changes of each model that is kept")
    how: Literal["sum", "mean"] = Field(
        "sum", description="sum (FusionBench) or mean (the paper) over the models that agree"
    )


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The merged state dict.

    Raises:
        ParamsError: `how` is unknown.
    """
    params = job.params
    if params["how"] not in HOW:
        raise ParamsError(f"ties: how is {params['how']!r}; {suggest(params['how'], HOW)}")

    def combine(start: State, candidates: list[State]) -> State:
        return merged(start, candidates, params["scale"], params["keep"], mean=params["how"] == "mean")

    return _merging.merge(job, combine)


def merged(start: State, candidates: Sequence[State], scale: float, keep: float, *, mean: bool) -> State:
    """Merged state: start + scale * the elected changes; tensors that are not floats are the start's."""
    origin = _merging.flatten(start)
    limits = [limit(_merging.flatten(candidate) - origin, keep) for candidate in candidates]

    def trimmed_changes(name: str) -> torch.Tensor:
        changes = [candidate[name].double() - start[name].double() for candidate in candidates]
        return torch.stack([trimmed(*pair) for pair in zip(changes, limits, strict=True)])

    names = _merging.floats(start)
    majority = torch.stack([trimmed_changes(name).sum(0).sign().sum() for name in names]).sum().sign()
    tensors = {}
    for name, tensor in names.items():
        step = scale * elected(trimmed_changes(name), majority, mean=mean)
        tensors[name] = (tensor.double() + step).to(tensor.dtype)
    return {**start, **tensors}


def limit(changes: torch.Tensor, keep: float) -> float:
    """The smallest magnitude among the share `keep` of the largest of all changes of a model, (parameters,)."""
    drop = min(len(changes) - 1, len(changes) - int(len(changes) * keep))
    return float(np.partition(changes.abs().numpy(), drop)[drop])  # linear in length


def trimmed(changes: torch.Tensor, limit: float) -> torch.Tensor:
    """Set changes below the limit to 0; ties at it are kept."""
    return torch.where(changes.abs() >= limit, changes, 0.0)


def elected(changes: torch.Tensor, majority: torch.Tensor, *, mean: bool) -> torch.Tensor:
    """Sum (or mean) over models, per parameter, of the changes that have the sign of their sum.

    Args:
        changes: trimmed, (models, ...).
        majority: the sign that a sum of 0 takes.
        mean: divide by how many agree.
    """
    sign = changes.sum(0).sign()
    sign = torch.where(sign == 0, majority, sign)
    agreeing = torch.where(changes.sign() == sign, changes, 0.0)
    total = agreeing.sum(0)
    return total / (agreeing != 0).sum(0).clamp(min=1) if mean else total
