"""Gram matrices: how far correlations of channels lie outside what training images of the predicted class gave.

Source: Sastry and Oore, "Detecting out-of-distribution examples with Gram matrices", ICML 2020, arXiv:1912.12510,
section 3, with row sums as in the authors' code: for maps F (channels, places) of a layer and an order p,
G_p = sign(s) |s|^(1/p) with s_i = sum over j of (F^p F^p')_ij. Bounds are the smallest and the largest value over the
training images of a predicted class; a value outside deviates by its distance divided by |bound + 1e-6|. A layer's
deviation is the sum over channels and orders, divided by the maximum softmax probability (the code's, not the
paper's). The score is the sum over layers of the deviation divided by its mean over ID validation images (+ 1e-7).

Differs: the authors take every convolution, normalisation and activation of a block, here it is the last map of each
size (`_net`; `layers: ["*"]` takes all modules). They normalise by random tenths of the test images; here it is by ID
val. OpenOOD compares the sum over all channels with each channel's bounds, takes true classes, and divides by 50
instead of normalising. pytorch-ood takes true classes and a random tenth of the training images as validation, and
does not divide by the softmax. Powers are float64, so that order 10 does not overflow.

Memory: bounds are 2 x classes x orders x channels float64 (1,000 classes, 10 orders, ResNet-50's 3,904 channels: 625
MB). Batches: a small deviation is a difference of nearly equal float32 values; `_net` has what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "Gram matrices"


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from shiftbench.plugins.detectors._net import Net

NEEDS = ("net",)
FIT = ("train", "val")
FIT_PARAMS = ("orders", "layers")

Floats = NDArray[np.float64]
PIECE = 16
"""Samples whose maps are held in float64 at a time."""


class Options(declare.Options):
    orders: int = Field(10, ge=1, description="highest power of the maps")
    layers: _blocks.Layers = Field([])


@dataclass
class Bounds:
    """What training images gave, and how large deviations are on ID validation images.

    Attributes:
        layers: names.
        low: smallest row sums float64 (classes, orders, channels of all layers); inf where no image was.
        high: largest row sums, likewise; -inf.
        scale: mean deviation of each layer, float64 (layers,).
    """

    layers: list[str]
    low: Floats
    high: Floats
    scale: Floats


def fit(known: Known, params: dict[str, Any]) -> Bounds:
    """Bounds from ID train and scales from ID val."""
    if params["orders"] < 1:
        raise ParamsError(f"orders is {params['orders']!r}; expected a number of orders, 1 at least")
    layers = known.train.net.layers(params["layers"])
    bounds = Bounds(layers, *_extremes(known.train, layers, params["orders"]), np.ones(len(layers)))
    if not len(known.val):
        raise DataError(f"{known.val.name}: no ID validation images, which deviations are scaled by")
    deviations = _deviations(known.val, bounds, params["orders"])
    bounds.scale = deviations.mean(axis=0) + 1e-7
    return bounds


def score(rows: Rows, state: Bounds, params: dict[str, Any]) -> Floats:
    """The total deviation, float64 (n,) >= 0; higher = more OOD."""
    scores: Floats = (_deviations(rows, state, params["orders"]) / state.scale).sum(axis=1)
    return scores


def _extremes(rows: Rows, layers: list[str], orders: int) -> tuple[Floats, Floats]:
    low = high = np.zeros(0)
    for sums, logits, _ in _seen(rows.net, layers, orders):
        if not low.size:
            shape = (logits.shape[1], *sums.shape[1:])
            low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        predicted = logits.argmax(axis=1)
        for label in np.unique(predicted):
            part = sums[predicted == label]
            low[label] = np.minimum(low[label], part.min(axis=0))
            high[label] = np.maximum(high[label], part.max(axis=0))
    return low, high


def _deviations(rows: Rows, bounds: Bounds, orders: int) -> Floats:
    """Deviations divided by confidence, float64 (n, layers)."""
    deviations: list[Floats] = []
    for sums, logits, widths in _seen(rows.net, bounds.layers, orders):
        predicted = logits.argmax(axis=1)
        low, high = bounds.low[predicted], bounds.high[predicted]
        _check(low, predicted, rows, sum(map(len, deviations)))
        outside = np.maximum(low - sums, 0) / np.abs(low + 1e-6)
        outside += np.maximum(sums - high, 0) / np.abs(high + 1e-6)
        starts = np.cumsum([0, *widths[0, :-1]]).astype(int)
        by_layer = np.add.reduceat(outside.sum(axis=1), starts, axis=1)
        top = np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)  # 1 / max softmax
        deviations.append(by_layer * top[:, None])
    return np.concatenate(deviations)


def _check(low: Floats, predicted: NDArray[np.intp], rows: Rows, before: int) -> None:
    missing = np.isinf(low[:, 0, 0])
    if missing.any():
        at = int(np.argmax(missing))
        raise DataError(
            f"{rows.name}: sample {rows.keys[before + at]!r} is predicted as class {predicted[at]}, which no training "
            "image was predicted as, so that it has no bounds; fit on more images, or choose another detector"
        )


def _seen(network: Net, layers: list[str], orders: int) -> Iterator[tuple[Floats, ...]]:
    """Yield row sums (n, orders, channels of all layers), logits (n, C) and widths of the layers (n, layers)."""
    import torch

    def look(x: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            logits, maps = network.outputs(x, layers)
            sums = [_row_sums(layer, orders) for layer in maps.values()]
        widths = torch.tensor([[part.shape[2] for part in sums]]).expand(len(x), -1)
        return torch.cat(sums, dim=2), logits, widths

    return network.each(look)


def _row_sums(maps: Tensor, orders: int) -> Tensor:
    """G_1 to G_orders of maps (n, channels, h, w), float64 (n, orders, channels).

    The sum over j comes first, so that no matrix of channels x channels is made.
    """
    import torch

    pieces = []
    for piece in maps.flatten(2).split(PIECE):
        values = piece.double()
        power, roots = torch.ones_like(values), []
        for order in range(1, orders + 1):
            power = power * values
            total = (power * power.sum(1, keepdim=True)).sum(2)
            roots.append(total.sign() * total.abs() ** (1 / order))
        pieces.append(torch.stack(roots, 1))
    return torch.cat(pieces)
