"""Merging after trimming small changes and electing a sign per parameter: TIES.

Source: Yadav et al., "TIES-Merging: Resolving Interference When Merging Models", NeurIPS 2023, algorithm 1. As in the
authors' code, parameters whose kept changes add up to 0 take the sign of most others. `keep` is the share of the
largest changes of each net, over all its tensors together; `how` is `sum` (as in FusionBench) or `mean` over the nets
that agree (as in the paper).
"""

from __future__ import annotations

import numpy as np
import torch

from shiftbench.contracts import TrainJob
from shiftbench.errors import ParamsError, near
from shiftbench.inference.nets import State
from shiftbench.systems.regmean_plus_plus.trainers import _merging

PARAMS: dict[str, object] = {**_merging.PARAMS, "scale": 0.3, "keep": 0.2, "how": "sum"}
needs = _merging.needs
HOW = ("sum", "mean")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the merged state dict.

    Raises:
        ParamsError: `how` is unknown.
    """
    params = job.params
    if params["how"] not in HOW:
        raise ParamsError(f"ties: how is {params['how']!r}; {near(params['how'], HOW)}")

    def combine(start: State, candidates: list[State]) -> State:
        vectors = trimmed(_merging.task_vectors(start, candidates), params["keep"])
        agreed = elected(vectors, mean=params["how"] == "mean")
        return _merging.unflatten(_merging.flatten(start) + params["scale"] * agreed, start)

    return _merging.merge(job, combine)


def trimmed(vectors: torch.Tensor, keep: float) -> torch.Tensor:
    """Set all but the share `keep` of largest magnitude of each row to 0; ties at the border are kept."""
    count = vectors.shape[1]
    drop = min(count - 1, count - int(count * keep))
    magnitudes = vectors.abs().numpy()
    borders = np.stack([np.partition(row, drop)[drop] for row in magnitudes])  # linear in length
    return torch.where(vectors.abs() >= torch.from_numpy(borders)[:, None], vectors, 0.0)


def elected(vectors: torch.Tensor, *, mean: bool) -> torch.Tensor:
    """Return per parameter the sum (or mean) of the changes that have the sign of their sum."""
    sign = vectors.sum(0).sign()
    sign = torch.where(sign == 0, sign.sum().sign(), sign)
    agreeing = torch.where(vectors.sign() == sign, vectors, 0.0)
    total = agreeing.sum(0)
    return total / (agreeing != 0).sum(0).clamp(min=1) if mean else total
