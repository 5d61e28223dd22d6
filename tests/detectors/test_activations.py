"""Detectors that change activations beside literal versions of the published equations, and beside pytorch-ood."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pytorch_ood import detector as peers  # type: ignore[import-untyped]

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.plugins.detectors import _activations, adascale, ash_b, ash_p, ash_s, dice, react, scale, vra
from shiftbench.plugins.detectors._net import Net
from shiftbench.plugins.detectors._rows import Head, Known, Rows

D, C = 40, 7
HEAD = Head(np.random.default_rng(1).normal(size=(C, D)), np.random.default_rng(2).normal(size=C))


def rows(features: Any, head: Head = HEAD, name: str = "toy/test") -> Rows:
    """Rows of these features."""
    beside = np.asarray(features, dtype=np.float32)
    table = pa.table({"key": [f"toy/{i:03d}" for i in range(len(beside))]})
    return Rows(table, beside, None, head, name=name)


def dense(n: int, seed: int) -> np.ndarray:
    """Positive features without ties."""
    return np.random.default_rng(seed).gamma(0.7, size=(n, D)).astype(np.float32)


TRAIN, VAL, TEST = dense(300, 3), dense(100, 4), dense(60, 5)
KNOWN = Known({"train": rows(TRAIN, name="toy/train"), "val": rows(VAL, name="toy/val")})


def scores(detector: ModuleType, some: Rows, **options: Any) -> np.ndarray:
    params = {**defaults(detector), **options}
    return np.asarray(detector.score(some, detector.fit(KNOWN, params), params))


def energy(z: np.ndarray, weight: np.ndarray = HEAD.weight) -> float:
    return -math.log(sum(math.exp(w @ z + b) for w, b in zip(weight, HEAD.bias, strict=True)))


# ---------------------------------------------------------------------------- the equations, one sample at a time


def literal_react(z: np.ndarray, p: float) -> float:
    c = np.percentile(VAL.astype(float), p)
    return energy(np.array([min(value, c) for value in z]))


def literal_vra(z: np.ndarray, p: float) -> float:
    a, b = np.percentile(VAL.astype(float), [10, p])
    return energy(np.array([0 if value < a else min(value, b) for value in z]))


def literal_dice(z: np.ndarray, p: float) -> float:
    contributions = HEAD.weight * TRAIN.astype(float).mean(axis=0)
    return energy(z, HEAD.weight * (contributions > np.percentile(contributions, p)))


def split(z: np.ndarray, p: float) -> tuple[np.ndarray, list[int]]:
    k = D - round(D * p / 100)
    return np.zeros(D), sorted(range(D), key=lambda i: (-z[i], i))[:k]


def literal_ash_p(z: np.ndarray, p: float) -> float:
    new, top = split(z, p)
    new[top] = z[top]
    return energy(new)


def literal_ash_b(z: np.ndarray, p: float) -> float:
    new, top = split(z, p)
    new[top] = z.sum() / len(top)
    return energy(new)


def literal_ash_s(z: np.ndarray, p: float) -> float:
    new, top = split(z, p)
    new[top] = z[top]
    return energy(new * math.exp(z.sum() / new.sum()))


def literal_scale(z: np.ndarray, p: float) -> float:
    _, top = split(z, p)
    return energy(z * math.exp(z.sum() / z[top].sum()))


ALL = {
    react: ("percentile", literal_react),
    vra: ("percentile_high", literal_vra),
    dice: ("percentile", literal_dice),
    ash_p: ("percentile", literal_ash_p),
    ash_b: ("percentile", literal_ash_b),
    ash_s: ("percentile", literal_ash_s),
    scale: ("percentile", literal_scale),
}


@pytest.mark.parametrize("percentile", [65.0, 90.0])
@pytest.mark.parametrize("detector", ALL, ids=lambda module: module.__name__)
def test_scores_are_the_papers_equations(detector: ModuleType, percentile: float) -> None:
    option, literal = ALL[detector]
    # Rounded features have ties, at zero and elsewhere: the lowest index wins.
    some = np.concatenate([TEST, np.round(TEST * 2) / 2])
    found = scores(detector, rows(some), **{option: percentile})
    assert np.allclose(found, [literal(z, percentile) for z in some.astype(float)], rtol=1e-9, atol=0)


def linear(maps: torch.Tensor) -> torch.Tensor:
    return maps.flatten(1) @ torch.tensor(HEAD.weight.T).float() + torch.tensor(HEAD.bias).float()


def maps(features: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(features)[:, :, None, None]


def peer_scores(detector: ModuleType, fraction: float) -> Any:
    labels = torch.zeros(len(TRAIN), dtype=torch.long)
    if detector is dice:
        weight, bias = torch.tensor(HEAD.weight).float(), torch.tensor(HEAD.bias).float()
        fitted = peers.DICE(None, weight, bias, fraction).fit_features(torch.from_numpy(TRAIN), labels)
        return fitted.predict_features(torch.from_numpy(TEST))
    if detector is react:
        clipped = peers.ReAct(None, linear, percentile=fraction)
        return clipped.fit_feature_maps(maps(VAL), labels[: len(VAL)]).predict_feature_maps(maps(TEST))
    if detector is scale:
        return peers.SCALE(None, linear, fraction).predict_feature_maps(maps(TEST))
    variant = detector.__name__.rpartition(".")[2].replace("_", "-")
    return peers.ASH(None, linear, variant, fraction).predict_feature_maps(maps(TEST))


@pytest.mark.parametrize("percentile", [70.0, 85.0])
@pytest.mark.parametrize("detector", [react, dice, ash_p, ash_b, ash_s, scale], ids=lambda module: module.__name__)
def test_pytorch_ood_gives_the_same(detector: ModuleType, percentile: float) -> None:
    peer = peer_scores(detector, percentile / 100).numpy()
    assert np.allclose(scores(detector, rows(TEST), percentile=percentile), peer, rtol=1e-5, atol=1e-5)


def test_vra_can_clip_low_activations_as_openood_does() -> None:
    a, b = np.percentile(VAL.astype(float), [5, 95])
    found = scores(vra, rows(TEST), percentile_low=5.0, percentile_high=95.0, low="clip")
    assert np.allclose(found, [energy(np.clip(z, a, b)) for z in TEST.astype(float)], rtol=1e-9)


def test_vra_of_one_feature_is_pytorch_oods_which_takes_each_by_itself() -> None:
    head = Head(HEAD.weight[:, :1], HEAD.bias)
    weight, bias = torch.tensor(head.weight.T).float(), torch.tensor(head.bias).float()
    peer = peers.VRA(None, lambda z: z.flatten(1) @ weight + bias, 0.1, 0.9)
    peer.fit_feature_maps(maps(VAL[:, :1]), torch.zeros(len(VAL)))
    params = {**defaults(vra), "low": "clip"}
    state = vra.fit(Known({"val": rows(VAL[:, :1], head)}), params)
    found = vra.score(rows(TEST[:, :1], head), state, params)
    assert np.allclose(found, peer.predict_feature_maps(maps(TEST[:, :1])), rtol=1e-5, atol=1e-5)


def test_by_hand() -> None:
    # z = (3, 2, 1, 0), one class with weights (1, 0, 0, 1), no bias: the energy is -(z1 + z4). k = 2 at 50 %.
    one = rows([[3, 2, 1, 0]], Head(np.array([[1.0, 0, 0, 1]]), np.zeros(1)))
    assert scores(ash_p, one, percentile=50.0) == pytest.approx([-3])
    assert scores(ash_b, one, percentile=50.0) == pytest.approx([-3])  # both kept become 6 / 2
    assert scores(ash_s, one, percentile=50.0) == pytest.approx([-3 * math.exp(6 / 5)])
    assert scores(scale, one, percentile=75.0) == pytest.approx([-3 * math.exp(6 / 3)])


# ---------------------------------------------------------------------------- AdaSCALE, which asks the net again


class Small(torch.nn.Module):
    """Features behind a ReLU, and a head."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.randn(3 * 4 * 4, D, generator=generator) / 4
        self.weight, self.bias = (torch.tensor(part).float() for part in (HEAD.weight, HEAD.bias))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu((x.flatten(1) / 255 - 0.5) @ self.first)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.weight.T + self.bias


class Images(Net):
    """Random images of 3 x 4 x 4 pixels instead of shards."""

    unit = torch.tensor(255.0)

    def __init__(self, n: int, seed: int) -> None:
        self.small = Small()
        super().__init__(SimpleNamespace(net=self.small, device="cpu"), Path(), 7)  # type: ignore[arg-type]
        self.images = np.random.default_rng(seed).integers(0, 256, size=(n, 3, 4, 4)).astype(np.float32)
        self.passes = 0

    def batches(self) -> Iterator[torch.Tensor]:
        self.passes += 1
        return iter(torch.from_numpy(self.images).split(self.batch_size))

    def rows(self) -> Rows:
        features = self.small.features(torch.from_numpy(self.images)).numpy()
        return dataclasses.replace(rows(features), again=self)


def literal_shift(net: Small, image: np.ndarray, k1: float, k2: float) -> float:
    x = torch.from_numpy(image)[None].requires_grad_()
    z = net.features(x)
    net.head(z).max().backward()
    gradient = x.grad.flatten().tolist()  # type: ignore[union-attr]
    least = sorted(range(len(gradient)), key=lambda i: abs(gradient[i]))[: int(len(gradient) * 0.05)]
    moved = image.flatten()
    for i in least:
        moved[i] += 255 * 0.113 * np.sign(gradient[i])
    after = net.features(torch.from_numpy(moved)[None]).detach()[0].double().numpy()
    before = z.detach()[0].double().numpy()
    top = sorted(range(D), key=lambda i: (-before[i], i))
    first, second = top[: max(1, int(D * k1 / 100))], top[: max(1, int(D * k2 / 100))]
    return float(sum(max(after[i], 0) for i in first) + 10 * sum(abs(before[i] - after[i]) for i in second))


@pytest.mark.parametrize("scaled", ["features", "logits"])
def test_adascale_is_the_papers_equations(scaled: str) -> None:
    known, net = Images(40, 1), Images(20, 2)
    params = {**defaults(adascale), "k2": 10.0, "percentiles": [60.0, 95.0], "scaled": scaled}
    some = net.rows()
    found = adascale.score(some, adascale.fit(Known({"val": known.rows()}), params), params)
    below = [literal_shift(known.small, image, 5, 10) for image in known.images]
    expected = []
    for image, z in zip(net.images, some.features.astype(float), strict=True):
        shift = literal_shift(net.small, image, 5, 10)
        p = 60 + (1 - sum(value <= shift for value in below) / len(below)) * 35
        ratio = z.sum() / z[split(z, p)[1]].sum()
        logits = HEAD(z * np.exp(ratio)) if scaled == "features" else HEAD(z) * ratio**2
        expected.append(-np.log(np.exp(logits).sum()))
    assert np.allclose(found, expected, rtol=1e-9, atol=0)


def test_adascale_sends_samples_through_the_net_once_in_a_search() -> None:
    known, net = Images(10, 1), Images(5, 2)
    state = adascale.fit(Known({"val": known.rows()}), defaults(adascale))
    some = net.rows()
    for percentiles in ([60.0, 65.0], [60.0, 95.0], [90.0, 95.0]):
        adascale.score(some, state, {**defaults(adascale), "percentiles": percentiles})
    assert net.passes == known.passes == 1


def test_adascale_refuses_what_cannot_be() -> None:
    net = Images(5, 2)
    known = Known({"val": net.rows()})
    state = adascale.fit(known, defaults(adascale))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"percentiles": [85.0, 75.0]}, "percentiles: expected two, the lower first"),
        ({"percentiles": [85.0, 100.0]}, "percentiles: expected a percentage from 0 to less than 100"),
        ({"percentiles": [85.0, 99.0]}, "percentiles: 99.0 keeps none of 40 features; lower it"),
        ({"scaled": "logit"}, "scaled: unknown 'logit'; did you mean logits"),
    ]
    for options, message in refused:
        with pytest.raises(ParamsError, match=message):
            adascale.score(net.rows(), state, {**defaults(adascale), **options})
    with pytest.raises(ParamsError, match="k1: expected a percentage above 0, to 100, found 101"):
        adascale.fit(known, {**defaults(adascale), "k1": 101.0})
    with pytest.raises(ParamsError, match="share: 0.001 of 48 input elements is 0"):
        adascale.fit(known, {**defaults(adascale), "share": 0.001})
    with pytest.raises(DataError, match="toy/test: no validation samples"):
        adascale.fit(Known({"val": rows(np.zeros((0, D)))}), defaults(adascale))


# ---------------------------------------------------------------------------- percentiles and the k largest


def test_percentiles_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_activations, "ROWS", 7)
    wanted = [0.0, 1.0, 33.3, 50.0, 99.9, 100.0]
    signed = np.random.default_rng(0).normal(size=(50, 11))
    for values in (signed, np.maximum(signed, 0), np.round(signed), signed * 1e-42, np.ones((3, 2))):
        some = rows(values)
        expected = np.percentile(some.features.astype(float), wanted)
        assert np.allclose(_activations.percentiles(some, wanted), expected, rtol=1e-12, atol=0)


def test_ties_keep_the_lowest_index_and_the_count() -> None:
    some = np.random.default_rng(0).integers(-2, 3, size=(200, 20)).astype(np.float32)
    marks = _activations.largest(some, 70.0)
    assert (marks.sum(axis=1) == 6).all()
    for z, kept in zip(some, marks, strict=True):
        assert np.flatnonzero(kept).tolist() == sorted(sorted(range(20), key=lambda i: (-z[i], i))[:6])


def test_half_a_unit_is_rounded_to_even_as_in_openood() -> None:
    for width, percentile in [(5, 90.0), (5, 50.0), (15, 90.0), (512, 65.0)]:
        expected = width - int(np.round(width * percentile / 100.0))
        features = np.arange(width, dtype=np.float32)[None]
        assert _activations.largest(features, percentile).sum() == expected


# ---------------------------------------------------------------------------- bad input


def test_activations_that_sum_to_nothing_are_named() -> None:
    some = TEST[:3].copy()
    some[1] = 0
    for detector in (ash_s, scale):
        with pytest.raises(DataError, match="toy/test: the largest activations of sample 'toy/001' sum to 0"):
            scores(detector, rows(some))
    some[1] = -1
    with pytest.raises(DataError, match="sum to -4; .* choose another detector"):
        scores(ash_s, rows(some))
    assert np.isfinite(scores(ash_b, rows(some))).all()


@pytest.mark.parametrize("detector", ALL, ids=lambda module: module.__name__)
def test_features_that_are_not_finite_are_named(detector: ModuleType) -> None:
    some = TEST[:3].copy()
    some[2, 5] = np.nan
    with pytest.raises(DataError, match="features of sample 'toy/002' are not all finite"):
        scores(detector, rows(some))
    broken = Known(dict.fromkeys(("train", "val"), rows(some, name="toy/other")))
    if hasattr(detector, "FIT"):
        with pytest.raises(DataError, match="toy/other: the features of sample 'toy/002'"):
            detector.fit(broken, defaults(detector))


@pytest.mark.parametrize("detector", [react, vra, dice], ids=lambda module: module.__name__)
def test_nothing_to_fit_on_is_refused(detector: ModuleType) -> None:
    empty = rows(np.zeros((0, D)), name="toy/empty")
    with pytest.raises(DataError, match="toy/empty: no"):
        detector.fit(Known({"train": empty, "val": empty}), defaults(detector))


@pytest.mark.parametrize("detector", ALL, ids=lambda module: module.__name__)
def test_percentiles_out_of_range_are_refused(detector: ModuleType) -> None:
    option, _ = ALL[detector]
    for percentile in (-1.0, 100.0):
        with pytest.raises(ParamsError, match=f"{option}: expected a percentage from 0 to less than 100"):
            scores(detector, rows(TEST), **{option: percentile})


def test_other_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ParamsError, match="percentile: 99.0 keeps none of 40 features"):
        scores(scale, rows(TEST), percentile=99.0)
    with pytest.raises(ParamsError, match=r"percentile_low: expected less than percentile_high \(5.0\)"):
        scores(vra, rows(TEST), percentile_high=5.0)
    with pytest.raises(ParamsError, match="low: unknown 'zeros'; did you mean zero"):
        scores(vra, rows(TEST), low="zeros")
