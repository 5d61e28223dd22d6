"""Mahalanobis ensemble: distances to class means in several layers, weighted by a logistic regression.

Source: Lee, Lee, Lee and Shin, "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks", NeurIPS 2018, section 2 and algorithm 1. In each layer, features z are the means of the channels over places;
class means and one pooled covariance S (divided by N) come from ID train with its true classes. With
d(x) = min over classes of (z - mu)' S^-1 (z - mu) / 2, the input is moved towards the closest class,
x' = x - noise sign(gradient of d), and score = sum over layers l of a_l d_l(x'). S^-1 is the pseudo-inverse, as in the
authors' code (scikit-learn's EmpiricalCovariance), and so is sign(0) = +1.

The weights a_l are fitted as the paper does where there are no OOD data (table 2, "validation on adversarial samples"):
logistic regression of ID val images against their FGSM versions x + attack sign(gradient of the cross-entropy), clamped
to the range of pixels. As in the code, 5-fold cross-validation chooses C among ten values from 1e-4 to 1e4.

Differs: the attack goes away from the predicted class and all images are kept (in the code away from the true class,
and only images that it turns wrong); distances are standardised for the regression, which converges then. OpenOOD fits
a_l on validation OOD, or has one layer with weight 1 (its default); pytorch-ood's `MultiMahalanobis` has equal weights
and no noise. The authors choose `noise` on validation OOD among 0, 0.0005, 0.001, 0.0014, 0.002, 0.005 and 0.01: give
that list to have it searched.

Memory: one matrix (d, d) float64 per layer. Batches: as `odin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "Mahalanobis ensemble"


if TYPE_CHECKING:
    from torch import Tensor

    from shiftbench.plugins.detectors._net import Net

NEEDS = ("net",)
FIT = ("train", "val")
FIT_PARAMS = ("noise", "attack", "layers")
FOLDS = 5

Floats = NDArray[np.float64]


class Options(declare.Options):
    noise: float = Field(
        0.0014, ge=0, description="size of the step to the closest class, in units of pixels of [0, 1]"
    )
    attack: float = Field(0.05, gt=0, description="size of the step of the attack, in units of pixels of [0, 1]")
    layers: _blocks.Layers = Field([])


@dataclass(frozen=True)
class Gaussians:
    """Class means and the pooled covariance of a layer, both where distances are Euclidean.

    Attributes:
        whiten: float64 (d, r): z @ whiten has the identity as its within-class covariance; r is the rank.
        means: whitened class means, float64 (C, r).
    """

    whiten: Floats
    means: Floats


@dataclass(frozen=True)
class State:
    """A fitted ensemble.

    Attributes:
        layers: names and Gaussians.
        weights: of the layers, float64 (layers,).
    """

    layers: dict[str, Gaussians]
    weights: Floats


def fit(known: Known, params: dict[str, Any]) -> State:
    """Gaussians from ID train, and weights of the layers from ID val."""
    _blocks.checked(params["attack"], "attack")
    layers = _gaussians(known.train, known.train.net.layers(params["layers"]))
    return State(layers, _weights(known.val, layers, params))


def score(rows: Rows, state: State, params: dict[str, Any]) -> Floats:
    """The weighted sum of distances, float64 (n,); higher = more OOD."""
    network = rows.net
    parts = [weighted for (weighted,) in network.each(lambda x: (_distances(network, x, state.layers, params),))]
    scores: Floats = np.concatenate(parts) @ state.weights
    return scores


# ---------------------------------------------------------------------- Gaussians of ID train


class _Sums:
    """Sums of a layer's features per class and of their products, about the first batch's mean.

    Without that shift, a channel that is constant would keep a variance from rounding, and its inverse.
    """

    def __init__(self, features: Floats, classes: int) -> None:
        width = features.shape[1]
        self.origin = features.mean(axis=0)
        self.sums, self.products = np.zeros((classes, width)), np.zeros((width, width))

    def add(self, features: Floats, labels: NDArray[np.int32]) -> None:
        shifted = features - self.origin
        np.add.at(self.sums, labels, shifted)
        self.products += shifted.T @ shifted

    def finished(self, counts: NDArray[np.int64]) -> Gaussians:
        means = self.sums / counts[:, None]
        covariance = (self.products - (means * counts[:, None]).T @ means) / counts.sum()
        values, vectors = np.linalg.eigh(covariance)
        kept = values > len(values) * np.finfo(np.float64).eps * np.abs(values).max()  # scipy's pinvh
        whiten = vectors[:, kept] / np.sqrt(values[kept])
        return Gaussians(whiten, (means + self.origin) @ whiten)


def _gaussians(rows: Rows, names: list[str]) -> dict[str, Gaussians]:
    import torch

    network = rows.net
    sums: list[_Sums] = []
    counts = np.zeros(0, np.int64)
    done = 0

    def look(x: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            logits, maps = network.outputs(x, names)
        return logits, *(_means(layer) for layer in maps.values())

    for logits, *features in network.each(look):
        labels = rows.labels[done : done + len(logits)]
        done += len(logits)
        _check_labels(rows, labels, len(logits))
        if not sums:
            sums = [_Sums(layer, logits.shape[1]) for layer in features]
            counts = np.zeros(logits.shape[1], np.int64)
        counts += np.bincount(labels, minlength=len(counts))
        for total, layer in zip(sums, features, strict=True):
            total.add(layer, labels)
    _check_counts(rows, counts)
    return {name: total.finished(counts) for name, total in zip(names, sums, strict=True)}


def _check_labels(rows: Rows, labels: NDArray[np.int32], expected: int) -> None:
    if len(labels) != expected or (labels < 0).any():
        raise DataError(
            f"{rows.name}: expected a label per image in the shards, found {(labels >= 0).sum()} for {expected} images "
            "of a batch; evaluate the condition again, or choose a model that has all of the dataset's classes"
        )


def _check_counts(rows: Rows, counts: NDArray[np.int64]) -> None:
    if not len(counts) or not counts.all():
        raise DataError(
            f"{rows.name}: class {int(np.argmin(counts)) if len(counts) else 0} has no training sample, and a class "
            "mean needs one; add samples, or choose a model with the dataset's classes"
        )


# ---------------------------------------------------------------------- weights from ID val


def _weights(rows: Rows, layers: dict[str, Gaussians], params: dict[str, Any]) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    network = rows.net

    def look(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(_distances(network, y, layers, params) for y in (x, _attacked(network, x, params["attack"])))

    pairs = list(network.each(look))
    if sum(len(clean) for clean, _ in pairs) < FOLDS:
        raise DataError(f"{rows.name}: {len(rows)} ID validation images; a regression in {FOLDS} folds needs as many")
    distances = np.concatenate([part[kind] for kind in (0, 1) for part in pairs])
    attacked = np.repeat([0, 1], len(distances) // 2)
    spread = distances.std(axis=0) + 1e-12
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": np.logspace(-4, 4, 10)}, cv=FOLDS)
    search.fit((distances - distances.mean(axis=0)) / spread, attacked)
    weights: Floats = search.best_estimator_.coef_[0] / spread
    return weights


def _attacked(network: Net, x: Tensor, size: float) -> Tensor:
    """The images after one step of the fast gradient sign method (Goodfellow et al. 2015)."""
    import torch

    from shiftbench.plugins.detectors import _gradients, _net

    black, white = network.limits
    step = size * network.unit * _net.signs(_gradients.of_decision(network, x, 1.0))
    return torch.clamp(x + step, black, white)


# ---------------------------------------------------------------------- distances


def _distances(network: Net, x: Tensor, layers: dict[str, Gaussians], params: dict[str, Any]) -> Tensor:
    """Each layer's distance after a step towards its closest class, float64 (n, layers)."""
    import torch

    from shiftbench.plugins.detectors import _net

    names = list(layers)
    moved = dict.fromkeys(names, x)
    if params["noise"]:
        step = params["noise"] * network.unit
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            maps = network.maps(start, names)
            for name in names:
                distance = _nearest(maps[name], layers[name]).sum()
                (gradient,) = torch.autograd.grad(distance, start, retain_graph=name != names[-1])
                moved[name] = x - step * _net.signs(gradient)
    with torch.no_grad():
        maps = network.maps(x, names) if not params["noise"] else {}
        distances = [
            _nearest(maps[name] if maps else network.maps(moved[name], [name])[name], layers[name]) for name in names
        ]
    return torch.stack(distances, 1)


def _nearest(maps: Tensor, layer: Gaussians) -> Tensor:
    """Half the squared Mahalanobis distance to the closest class mean, float64 (n,)."""
    import torch

    whiten, means = (torch.from_numpy(part).to(maps.device) for part in (layer.whiten, layer.means))
    features = _means(maps) @ whiten
    exact = "donot_use_mm_for_euclid_dist"
    closest = torch.cdist(features.detach(), means, compute_mode=exact).argmin(1)
    return (features - means[closest]).square().sum(1) / 2


def _means(maps: Tensor) -> Tensor:
    """The means of channels over places, float64 (n, channels), of maps (n, channels, h, w)."""
    return maps.flatten(2).double().mean(2)
