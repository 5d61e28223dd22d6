"""AdaSCALE: SCALE with a percentile of each sample's own, lower where its largest activations give way; score = energy.

Source: Regmi 2025, "AdaSCALE: Adaptive scaling for OOD detection", arXiv:2503.08023; OpenOOD v1.5 (`adascale_a`,
`adascale_l`), whose options and search grid these are. With z the features of the input x and z' those of x moved,

- x' = x + eps sign(g) for the `share` of elements of x with the smallest |g|, g the gradient of the largest logit;
- Q' = lambda Q + C: Q sums |z - z'| over the `k2` percent largest z, C sums max(z', 0) over the `k1` percent;
- p = p_min + (1 - F(Q')) (p_max - p_min), with F the empirical distribution of Q' over the ID validation split;
- r = sum of max(z, 0) / sum of its k = d - round(d p / 100) largest;
- logits of z exp(r) (`scaled: features`, AdaSCALE-A), or those of z times r^2 (`scaled: logits`, AdaSCALE-L).

Differs from OpenOOD: eps is in units of pixels of [0, 1], there it is 0.5 in units of the normalised input, which is
0.113 at ImageNet's mean standard deviation, 0.226; k1 and k2 stand for one feature or more (1 percent of 64 is none
there); the whole validation split is used, there 5,000 samples of it. Of equal z the lowest index goes first; of equal
|g| at the border all are moved, and sign(0) = 0. Not in pytorch-ood. Scores in float64, the network in float32.

Batches: p and k are steps of Q'. At another batch size a float32 network gives Q' that differs by about 1e-7, and where
it lies at a step, k differs by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logsumexp

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._activations import ROWS, finite, how_many, inflation
from shiftbench.plugins.detectors._rows import Known, Rows

if TYPE_CHECKING:
    from torch import Tensor

    from shiftbench.plugins.detectors._net import Net

NEEDS = ("features", "head", "net")
FIT = ("val",)
ENDS = (60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 99.0)
GRID: dict[str, list[object]] = {"percentiles": [list(pair) for pair in combinations(ENDS, 2)]}
FIT_PARAMS = ("k1", "k2", "lambda", "share", "eps")

Floats = NDArray[np.float64]


class Options(declare.Options):
    percentiles: list[float] = Field([75.0, 85.0], description="lowest and highest percentile, p_min and p_max")
    k1: float = Field(5.0, gt=0, le=100, description="percent of the features that C sums over")
    k2: float = Field(1.0, gt=0, le=100, description="percent of the features that Q sums over")
    lambda_: float = Field(10.0, ge=0, alias="lambda", description="weight of Q in Q'")
    share: float = Field(0.05, gt=0, le=1, description="share of the input's elements that are moved")
    eps: _blocks.Step = 0.113
    scaled: Literal["features", "logits"] = Field(
        "features", description="scale the features, AdaSCALE-A, or the logits, AdaSCALE-L"
    )


@dataclass(frozen=True)
class State:
    """What is known of Q'.

    Attributes:
        known: Q' of the validation split, ascending, float64 (n,).
        seen: Q' of samples that went through the network, so that a search over percentiles sends them once.
    """

    known: Floats
    seen: WeakKeyDictionary[Net, Floats] = field(default_factory=WeakKeyDictionary)


def fit(known: Known, params: dict[str, Any]) -> State:
    """Q' of the validation split."""
    for name in ("k1", "k2"):
        if not 0 < params[name] <= 100:
            raise ParamsError(f"{name}: expected a percentage above 0, to 100, found {params[name]}")
    if not len(known.val):
        raise DataError(f"{known.val.name}: no validation samples; expected one or more")
    return State(np.sort(_shifts(known.val, params)))


def score(rows: Rows, state: State, params: dict[str, Any]) -> Floats:
    """The energies of the scaled features or logits, float64 (n,); higher = more OOD."""
    if params["scaled"] not in ("features", "logits"):
        suggestion = suggest(params["scaled"], ("features", "logits"))
        raise ParamsError(f"scaled: unknown {params['scaled']!r}; {suggestion}")
    low, high = _ends(params["percentiles"], rows.features.shape[1])
    if rows.net not in state.seen:
        state.seen[rows.net] = _shifts(rows, params)
    below = np.searchsorted(state.known, state.seen[rows.net], side="right") / len(state.known)
    own = low + (1 - below) * (high - low)
    pieces = np.split(own, range(ROWS, len(own), ROWS))
    parts = [
        -logsumexp(_logits(block, piece, params["scaled"]), axis=1)
        for block, piece in zip(rows.blocks(ROWS), pieces, strict=True)
    ]
    return np.concatenate(parts)


def _logits(rows: Rows, percentiles: Floats, scaled: str) -> Floats:
    features = finite(rows).astype(np.float64)
    positive = np.maximum(features, 0)
    width = features.shape[1]
    counts = width - np.round(width * percentiles / 100)
    kept = -np.sort(-positive, axis=1) * (np.arange(width) < counts[:, None])
    ratio = inflation(rows, positive, kept)
    return rows.head(features * np.exp(ratio)) if scaled == "features" else rows.head(features) * ratio**2


def _ends(percentiles: list[float], width: int) -> tuple[float, float]:
    if len(percentiles) != 2 or percentiles[0] > percentiles[1]:
        raise ParamsError(f"percentiles: expected two, the lower first, found {percentiles}")
    for percentile in percentiles:
        how_many(width, percentile, "percentiles")
    low, high = percentiles
    return low, high


def _shifts(rows: Rows, params: dict[str, Any]) -> Floats:
    """Q' of each sample, float64 (n,)."""
    network = rows.net
    return np.concatenate([_shift(z, moved, params) for z, moved in network.each(lambda x: _both(network, x, params))])


def _shift(z: Floats, moved: Floats, params: dict[str, Any]) -> Floats:
    """Q' of features float64 (n, d) and those of the moved inputs."""
    order = np.argsort(-z, axis=1, kind="stable")
    first, second = (order[:, : max(1, int(z.shape[1] * params[name] / 100))] for name in ("k1", "k2"))
    correction = np.take_along_axis(np.maximum(moved, 0), first, axis=1).sum(axis=1)
    shift = np.take_along_axis(np.abs(z - moved), second, axis=1).sum(axis=1)
    total: Floats = correction + params["lambda"] * shift
    return total


def _both(network: Net, x: Tensor, params: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The features of prepared inputs, and those after the step, float32 (n, d) each."""
    import torch

    from shiftbench.evaluation import nets

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        features, logits = nets.both(network.module, x)
        (gradient,) = torch.autograd.grad(logits.max(1).values.sum(), x)
    with torch.no_grad():
        step = params["eps"] * network.unit * gradient.sign() * _least(gradient.abs(), params["share"])
        return features, nets.both(network.module, x + step)[0]


def _least(sizes: Tensor, share: float) -> Tensor:
    """Mark the smallest elements of each sample, and those as small as the last of them, bool like `sizes`."""
    flat = sizes.flatten(1)
    count = int(flat.shape[1] * share)
    if not 1 <= count <= flat.shape[1]:
        raise ParamsError(f"share: {share} of {flat.shape[1]} input elements is {count}; expected one of them to all")
    return (flat <= flat.kthvalue(count, dim=1, keepdim=True).values).view_as(sizes)
