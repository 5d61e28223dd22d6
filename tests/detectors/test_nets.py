"""Detectors that see the net again beside literal versions of the published equations, and beside pytorch-ood."""

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_ood import detector as peers  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegressionCV
from torch import nn

from makers.tiny_net import LAYERS, NET, STD, gradient, inputs, logits, scores, sign
from shiftbench.base.registry import defaults
from shiftbench.plugins.detectors import gram, iodin, mds_ensemble, msp, odin, rankfeat
from shiftbench.plugins.detectors._rows import Known, Rows

# ---------------------------------------------------------------------------- ODIN


def literal_odin(x: torch.Tensor, temperature: float, eps: float, *, one: bool) -> float:
    """In the normalised space of the paper, element by element."""
    label = logits(x).argmax()
    g = gradient(x, lambda x: -torch.log_softmax(logits(x) / temperature, 1)[0, label])[0].numpy()
    places = list(np.ndindex(g.shape))
    if one:
        places = [max(places, key=lambda place: abs(g[place]))]
    moved = NET.normalised(x)[0].double().numpy()
    for place in places:
        moved[place] -= eps * sign(float(g[place])) / float(STD[place[0]])
    z = NET.head(NET.body(torch.from_numpy(moved)[None].float())).double() / temperature
    return -float(z.softmax(1).max())


@pytest.mark.parametrize(("detector", "one"), [(odin, False), (iodin, True)])
@pytest.mark.parametrize(("temperature", "eps"), [(1000.0, 0.0014), (1.0, 0.05)])
def test_odin(known: Known, unseen: Rows, detector: ModuleType, one: bool, temperature: float, eps: float) -> None:
    expected = [literal_odin(x, temperature, eps, one=one) for x in inputs(unseen)]
    found = scores(detector, unseen, known, temperature=temperature, eps=eps)
    assert np.allclose(found, expected, rtol=1e-6 if temperature == 1 else 1e-8)
    still = scores(detector, unseen, known, temperature=temperature, eps=0.0)
    assert np.allclose(still, scores(msp, unseen, known, temperature=temperature), rtol=1e-6)
    assert np.all(found != still)


def test_odin_is_pytorch_oods(known: Known, unseen: Rows) -> None:
    """On normalised inputs with `norm_std`; no gradient of this net is 0, where sign differs."""
    x = NET.normalised(torch.cat(inputs(unseen)))
    model = nn.Sequential(NET.body, NET.head)
    for temperature, eps in ((1000.0, 0.0014), (10.0, 0.01)):
        peer = peers.ODIN(model, eps=eps, temperature=temperature, norm_std=STD.tolist())
        expected = peer.predict(x).detach().numpy()
        found = scores(odin, unseen, known, temperature=temperature, eps=eps)
        assert np.allclose(found, expected, rtol=1e-5)


# ---------------------------------------------------------------------------- Gram matrices


def literal_sums(x: torch.Tensor, orders: int) -> list[np.ndarray]:
    """Row sums of the Gram matrices of each layer, float64 (orders, channels)."""
    found = []
    z = NET.normalised(x)
    for number, layer in enumerate(NET.body):
        z = layer(z)
        if f"body.{number}" in LAYERS:
            maps = z[0].detach().double().numpy().reshape(z.shape[1], -1)
            grams = [maps**p @ (maps**p).T for p in range(1, orders + 1)]
            sums = [matrix.sum(1) for matrix in grams]
            found.append(np.stack([np.sign(s) * abs(s) ** (1 / (p + 1)) for p, s in enumerate(sums)]))
    return found


def literal_gram(known: Known, orders: int) -> Any:
    seen: dict[int, list[list[np.ndarray]]] = {}
    for x in inputs(known.train):
        seen.setdefault(int(logits(x).argmax()), []).append(literal_sums(x, orders))

    def deviations(x: torch.Tensor) -> np.ndarray:
        out = logits(x)[0].detach().softmax(0)
        found = []
        for layer, sums in enumerate(literal_sums(x, orders)):
            total = 0.0
            for place, value in np.ndenumerate(sums):
                bounds = [of[layer][place] for of in seen[int(out.argmax())]]
                low, high = min(bounds), max(bounds)
                total += max(low - value, 0) / abs(low + 1e-6)
                total += max(value - high, 0) / abs(high + 1e-6)
            found.append(total / float(out.max()))
        return np.array(found)

    scale = np.mean([deviations(x) for x in inputs(known.val)], axis=0) + 1e-7
    return lambda x: (deviations(x) / scale).sum()


def test_gram(known: Known, unseen: Rows) -> None:
    literal = literal_gram(known, orders=10)
    expected = [literal(x) for x in inputs(unseen)]
    assert np.allclose(scores(gram, unseen, known), expected, rtol=1e-4, atol=1e-6)
    assert max(expected) > 1


def test_gram_deviates_as_pytorch_oods(known: Known, unseen: Rows) -> None:
    """By true classes, which are the predicted ones here; without its held-out tenth, and times the softmax."""
    state = gram.fit(known, {"orders": 3, "layers": []})
    stages = [NET.body[:2], NET.body[2:5]]
    peer = peers.Gram(nn.Sequential(NET.body[5:], NET.head), stages, 4, num_poles_list=[1, 2, 3])
    peer.validation_fraction = 0.0
    train = list(known.train.net.batches())
    labels = torch.from_numpy(known.train.labels.copy()).split(8)
    peer.to("cpu").fit([(NET.normalised(x), y) for x, y in zip(train, labels, strict=True)])
    x = torch.cat(inputs(unseen))
    expected = peer.predict(NET.normalised(x)).numpy()
    found = gram._deviations(unseen, state, 3).sum(1) * logits(x).softmax(1).amax(1).detach().numpy()
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------- Mahalanobis ensemble


def features(x: torch.Tensor) -> list[torch.Tensor]:
    """Means over places of each layer, float64 (channels,)."""
    found, z = [], NET.normalised(x)
    for number, layer in enumerate(NET.body):
        z = layer(z)
        if f"body.{number}" in LAYERS:
            found.append(z[0].double().mean((1, 2)))
    return found


class LiteralMahalanobis:
    def __init__(self, known: Known, noise: float) -> None:
        self.noise = noise
        seen = [[z.detach().numpy() for z in features(x)] for x in inputs(known.train)]
        labels = known.train.labels
        self.means, self.inverse = [], []
        for layer in range(2):
            z = np.stack([of[layer] for of in seen])
            means = np.stack([z[labels == c].mean(0) for c in range(4)])
            inner = z - means[labels]
            self.means.append(torch.from_numpy(means))
            self.inverse.append(torch.from_numpy(np.linalg.pinv(inner.T @ inner / len(z))))

    def distance(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        z = features(x)[layer]
        all_ = [(z - mean) @ self.inverse[layer] @ (z - mean) / 2 for mean in self.means[layer]]
        nearest: torch.Tensor = min(all_)
        return nearest

    def __call__(self, x: torch.Tensor) -> np.ndarray:
        found = []
        for layer in range(2):
            g = gradient(x, lambda x, layer=layer: self.distance(x, layer))
            moved = x - self.noise * 255 * torch.where(g >= 0, 1.0, -1.0)
            found.append(float(self.distance(moved, layer)))
        return np.array(found)


def fgsm(x: torch.Tensor, size: float) -> torch.Tensor:
    label = logits(x).argmax(1)
    g = gradient(x, lambda x: nn.functional.cross_entropy(logits(x), label))
    return (x + size * 255 * torch.where(g >= 0, 1.0, -1.0)).clamp(0, 255)


@pytest.mark.parametrize("noise", [0.0, 0.0014])
def test_mds_ensemble(known: Known, unseen: Rows, noise: float) -> None:
    params = defaults(mds_ensemble) | {"noise": noise}
    literal = LiteralMahalanobis(known, noise)
    state = mds_ensemble.fit(known, params)
    assert list(state.layers) == LAYERS
    expected = np.stack([literal(x) for x in inputs(unseen)])
    assert np.allclose(mds_ensemble.score(unseen, state, params), expected @ state.weights, rtol=1e-5)
    # The weights are those of scikit-learn's own search, on standardised distances.
    clean = inputs(known.val)
    both = np.stack([literal(x) for x in [*clean, *(fgsm(x, 0.05) for x in clean)]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regression = LogisticRegressionCV(cv=5, max_iter=1000, scoring="accuracy")
        regression.fit((both - both.mean(0)) / both.std(0), np.repeat([0, 1], len(clean)))
    assert np.allclose(state.weights, regression.coef_[0] / both.std(0), rtol=1e-2)


def test_mds_ensemble_is_pytorch_oods(known: Known, unseen: Rows) -> None:
    """Its distances have equal weights and no noise; its covariance is not divided by N and has a ridge of 1e-6."""
    x, train = torch.cat(inputs(unseen)), torch.cat(inputs(known.train))

    def means(x: torch.Tensor) -> list[torch.Tensor]:
        first = NET.body[:2](NET.normalised(x))
        return [first.mean((2, 3)), NET.body[2:5](first).mean((2, 3))]

    peer = peers.MultiMahalanobis([NET.body[:2], NET.body[2:5]])
    peer.fit_structured(means(train), torch.from_numpy(known.train.labels.copy()))
    expected = peer.predict_structured(means(x)).numpy()
    params = defaults(mds_ensemble) | {"noise": 0.0}
    state = mds_ensemble.State(mds_ensemble.fit(known, params).layers, np.ones(2))
    found = mds_ensemble.score(unseen, state, params)
    assert np.allclose(found / len(train), expected, rtol=1e-3)


def test_a_constant_channel_has_no_part_in_distances() -> None:
    """As with a pseudo-inverse: its variance is 0, not what rounding leaves of it."""
    random = np.random.default_rng(0)
    z, labels = random.normal(size=(90, 3)), (np.arange(90) % 3).astype(np.int32)
    z = np.column_stack([z, np.full(90, 1e4 / 3)])
    sums = mds_ensemble._Sums(z[:30], 3)
    for part in range(0, 90, 30):
        sums.add(z[part : part + 30], labels[part : part + 30])
    found = sums.finished(np.bincount(labels))
    inner = z - np.stack([z[labels == c].mean(0) for c in range(3)])[labels]
    expected = np.linalg.pinv(inner.T @ inner / 90, rcond=1e-10, hermitian=True)
    assert found.whiten.shape == (4, 3)
    assert np.allclose(found.whiten @ found.whiten.T, expected, atol=1e-9)


# ---------------------------------------------------------------------------- RankFeat


def literal_rankfeat(x: torch.Tensor) -> float:
    found = []
    for changed in LAYERS:
        z = NET.normalised(x)
        for number, layer in enumerate(NET.body):
            z = layer(z)
            if f"body.{number}" == changed:
                u, s, v = np.linalg.svd(z[0].detach().numpy().reshape(z.shape[1], -1), False)
                rest = u[:, 1:] * s[1:] @ v[1:]
                z = torch.from_numpy(rest.reshape(z.shape))
        found.append(NET.head(z)[0].double())
    return -float(torch.stack(found).mean(0).logsumexp(0))


def test_rankfeat(known: Known, unseen: Rows) -> None:
    expected = [literal_rankfeat(x) for x in inputs(unseen)]
    assert np.allclose(scores(rankfeat, unseen, known), expected, rtol=1e-5)
    one = scores(rankfeat, unseen, known, layers=["body.4"])
    peer = peers.RankFeat(NET.body[:5], nn.Sequential(NET.body[5:], NET.head))
    x = torch.cat(inputs(unseen))
    assert np.allclose(one, peer.predict(NET.normalised(x)).numpy(), rtol=1e-5)
