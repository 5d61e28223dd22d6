"""Detectors that see the net again beside literal versions of the published equations, and beside pytorch-ood."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_ood import detector as peers  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegressionCV
from torch import nn

from shiftbench import nets, plugins, shards
from shiftbench.detectors import gram, iodin, mds_ensemble, msp, odin, rankfeat
from shiftbench.detectors._net import Net
from shiftbench.detectors._rows import Known, Rows
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.models import _images
from shiftbench.sample import Sample
from shiftbench.score import score_cell
from shiftbench.tasks import LabelSpace, classification

CLASSES = ("a", "b", "c", "d")
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
ALL = [odin, iodin, gram, rankfeat, mds_ensemble]
LAYERS = ["body.1", "body.4"]


class Tiny(nn.Module):
    """Colour images (n, 3, 12, 12) in 0..255, normalised within; two stages of 12 and 6 pixels, no dead units."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(5, 6, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(6, 4)

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return (x.float() / 255 - MEAN[:, None, None]) / STD[:, None, None]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(self.normalised(x))
        return found


def net() -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Tiny()
        for weights in made.parameters():
            weights.data *= 3
    return made.eval().requires_grad_(False)


NET = net()
SEEN = copy.deepcopy(NET).requires_grad_(True)  # the detectors', trainable as nets are
MODEL: Any = SimpleNamespace(
    __name__="shiftbench.models.tiny",
    prepare_batch=lambda samples, _: _images.colour_batch(samples, lambda image: image),
)


def pictures(n: int, seed: int) -> list[Sample]:
    """Pictures of four colours and noise, labelled as the net sees them."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 200, (n, 1, 1, 3)) + random.integers(0, 56, (n, 12, 12, 3))
    logits = nets.both(NET, torch.from_numpy(images).permute(0, 3, 1, 2))[1]
    return [
        Sample(f"toy/test/{i:03d}", {"image": image.astype(np.uint8), "label": int(label)})
        for i, (image, label) in enumerate(zip(images, logits.argmax(1), strict=True))
    ]


def rows(
    folder: Path, samples: list[Sample], batch: int = 8, model: Any = MODEL, module: Any = SEEN
) -> Rows:
    """Write shards of samples and return their rows with the net."""
    predictor = nets.TorchPredictor(module, model, {}, "cpu")
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True)
        about = {"dataset": "toy", "split": "test", "task": "classification", "classes": CLASSES}
        shards.write(samples, folder, {"image": "png", "label": "cls"}, about, 10**7)
    space = LabelSpace(CLASSES, CLASSES)
    logits = predictor(samples)["logits"] if samples else np.zeros((0, 4), np.float32)
    table = classification.rows(samples, {"logits": logits}, space, "full")
    return Rows(table, again=Net(predictor, folder, batch, None), name="toy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nets")


@pytest.fixture(scope="module")
def known(folder: Path) -> Known:
    return Known(
        {
            "train": rows(folder / "train", pictures(150, 1)),
            "val": rows(folder / "val", pictures(40, 2)),
        }
    )


@pytest.fixture(scope="module")
def unseen(folder: Path) -> Rows:
    return rows(folder / "test", pictures(21, 3))


def scores(detector: ModuleType, some: Rows, known: Known, **options: Any) -> np.ndarray:
    found: np.ndarray = score_cell(detector, options, some, known)["score"].to_numpy()
    return found


def inputs(some: Rows) -> list[torch.Tensor]:
    """One float32 (1, 3, 12, 12) in 0..255 per sample."""
    return [x[None] for batch in some.net.batches() for x in batch]


def logits(x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = NET.head(NET.features(x))
    return found.double()


def gradient(x: torch.Tensor, loss: Any) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


def sign(value: float) -> float:
    return 1.0 if value >= 0 else -1.0


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
def test_odin(
    known: Known, unseen: Rows, detector: ModuleType, one: bool, temperature: float, eps: float
) -> None:
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
            found.append(
                np.stack([np.sign(s) * abs(s) ** (1 / (p + 1)) for p, s in enumerate(sums)])
            )
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
    found = (
        gram._deviations(unseen, state, 3).sum(1) * logits(x).softmax(1).amax(1).detach().numpy()
    )
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
    params = mds_ensemble.PARAMS | {"noise": noise}
    literal = LiteralMahalanobis(known, noise)
    state = mds_ensemble.fit(known, params)
    assert list(state.layers) == LAYERS
    expected = np.stack([literal(x) for x in inputs(unseen)])
    assert np.allclose(
        mds_ensemble.score(unseen, state, params), expected @ state.weights, rtol=1e-5
    )
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
    params = mds_ensemble.PARAMS | {"noise": 0.0}
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


# ---------------------------------------------------------------------------- the net


@pytest.mark.parametrize("detector", ALL)
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_batches_change_no_score(
    folder: Path, known: Known, unseen: Rows, detector: ModuleType, batch: int
) -> None:
    params = detector.PARAMS
    state = detector.fit(known, params)
    other = rows(folder / "test", pictures(21, 3), batch)
    expected = detector.score(unseen, state, params)
    # Sums of both signs nearly vanish in the Gram matrices of this net, and their tenth roots magnify rounding.
    tolerance = 1e-5 if detector is gram else 1e-6
    assert np.allclose(detector.score(other, state, params), expected, rtol=tolerance, atol=1e-9)


def test_layers_are_the_last_of_each_size() -> None:
    def names(model: str, size: int, **options: Any) -> list[str]:
        module = plugins.find("models", model)
        params = module.PARAMS | {"size": size} | options
        predictor = nets.TorchPredictor(module.build(params, 4), module, params, "cpu")
        net = Net(predictor, Path("nowhere"), 1, None)
        net.__dict__["_first"] = predictor.prepare(pictures(1, 0))
        return net.layers(["blocks.?"] if model == "vit" else [])

    assert names("convnet", 28) == ["body.2", "body.6", "body.10", "body.12"]
    stages = ["body.relu", "body.layer1", "body.layer2", "body.layer3", "body.layer4"]
    assert names("torchvision", 64) == stages
    assert names("vit", 28) == ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]


def test_what_the_net_gives(folder: Path, unseen: Rows) -> None:
    net = unseen.net
    (x, *_) = net.batches()
    assert (x.dtype, x.shape) == (torch.float32, (8, 3, 12, 12))
    assert net.layers() == LAYERS
    assert net.layers(["body.[03]"]) == ["body.0", "body.3"]
    maps = net.maps(x)
    assert {name: tuple(found.shape) for name, found in maps.items()} == {
        "body.1": (8, 5, 12, 12),
        "body.4": (8, 6, 6, 6),
    }
    assert torch.equal(net.outputs(x)[0], net.logits(x))
    assert np.allclose(
        np.concatenate([net.logits(x).detach() for x in net.batches()]), unseen.logits
    )
    assert not any(module._forward_hooks for module in SEEN.modules())
    shifted = Net(net.predictor, folder / "test", 8, lambda batch: batch[::-1])
    assert torch.equal(next(shifted.batches()), x.flip(0))


def test_floats_say_what_a_grey_level_is(folder: Path, known: Known, unseen: Rows) -> None:
    """A net that is given normalised floats has the scores of one that normalises."""
    module = copy.deepcopy(NET)
    module.normalised = lambda x: x  # type: ignore[method-assign]
    model = SimpleNamespace(
        __name__="shiftbench.models.floats",
        prepare_batch=lambda samples, _: NET.normalised(
            torch.from_numpy(MODEL.prepare_batch(samples, {}))
        ).numpy(),
    )
    some = rows(folder / "test", pictures(21, 3), model=model, module=module)
    with pytest.raises(ParamsError, match=r"model floats: .* which is float32; let `prepare` give"):
        odin.score(some, None, odin.PARAMS)
    model.INPUT_RANGE = ((-MEAN / STD).tolist(), ((1 - MEAN) / STD).tolist())
    some = rows(folder / "test", pictures(21, 3), model=model, module=module)
    assert torch.allclose(some.net.unit[:, 0, 0], 1 / STD)
    assert unseen.net.unit.item() == 255
    for detector in (odin, iodin):
        assert np.allclose(
            scores(detector, some, known), scores(detector, unseen, known), rtol=1e-6
        )


def test_gpu_memory_halves_a_batch(unseen: Rows) -> None:
    def small(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise torch.cuda.OutOfMemoryError("too much")
        return x.mean((1, 2, 3))

    assert len(small(torch.ones(2, 3, 12, 12))) == 2
    expected = [float(x.mean()) for x in inputs(unseen)]
    assert np.allclose(unseen.net.scored(small), expected, rtol=1e-6)

    def never(x: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("too much")

    with pytest.raises(ModelError, match="out of GPU memory with a single sample"):
        unseen.net.scored(never)


def test_what_is_not_finite_is_named(folder: Path, known: Known, unseen: Rows) -> None:
    module = copy.deepcopy(SEEN)
    means = [float(x.mean()) for x in inputs(known.train)]
    limit = sorted(means)[0]

    def normalised(x: torch.Tensor) -> torch.Tensor:
        return NET.normalised(x).where(x.mean((1, 2, 3), keepdim=True) > limit, torch.nan)

    module.normalised = normalised  # type: ignore[method-assign]
    key = known.train.keys[int(np.argmin(means))]
    some = rows(folder / "train", pictures(150, 1))
    broken = dataclasses.replace(
        some, again=Net(nets.TorchPredictor(module, MODEL, {}, "cpu"), folder / "train", 8)
    )
    for detector in (gram, mds_ensemble):
        with pytest.raises(ModelError, match=f"no finite number for sample '{key}'"):
            scores(detector, unseen, Known({"train": broken, "val": known.val}))


@pytest.mark.parametrize("detector", ALL)
def test_black_boxes_are_refused(known: Known, unseen: Rows, detector: ModuleType) -> None:
    with pytest.raises(ModelError, match="needs the net's layers or gradients, and the model is a"):
        detector.score(Rows(unseen.table), None, detector.PARAMS) if not hasattr(
            detector, "FIT"
        ) else detector.fit(Known({"train": Rows(unseen.table), "val": unseen}), detector.PARAMS)


@pytest.mark.parametrize("detector", [gram, rankfeat, mds_ensemble])
def test_unknown_layers_are_named(known: Known, unseen: Rows, detector: ModuleType) -> None:
    with pytest.raises(ParamsError, match=r"layers: 'body.11' is no inner layer of Tiny .*body\.1"):
        scores(detector, unseen, known, layers=["body.4", "body.11"])
    assert not any(module._forward_hooks for module in SEEN.modules())


def test_options_that_cannot_be_are_named(known: Known, unseen: Rows) -> None:
    for detector, options, message in (
        (odin, {"temperature": 0.0}, "temperature: expected a number above 0"),
        (iodin, {"temperature": -1.0}, "temperature: expected a number above 0"),
        (rankfeat, {"temperature": 0.0}, "temperature: expected a number above 0"),
        (gram, {"orders": 0}, "orders is 0; expected a number of orders, 1 at least"),
        (mds_ensemble, {"attack": 0.0}, "attack: expected a number above 0"),
    ):
        with pytest.raises(ParamsError, match=message):
            scores(detector, unseen, known, **options)


def test_images_seen_are_counted(unseen: Rows) -> None:
    net = Net(unseen.net.predictor, unseen.net.folder, 8)
    assert (net.layers(), net.seen) == (LAYERS, 0)
    for times in (1, 2):
        net.scored(lambda x: x.mean((1, 2, 3)))
        assert net.seen == 21 * times


def test_too_few_samples_are_named(folder: Path, known: Known, unseen: Rows) -> None:
    some = pictures(150, 1)
    without = [sample for sample in some if sample.fields["label"] != 2]
    lacking = Known({"train": rows(folder / "lacking", without), "val": known.val})
    with pytest.raises(DataError, match="toy: class 2 has no training sample"):
        scores(mds_ensemble, unseen, lacking)
    with pytest.raises(
        DataError, match=r"sample 'toy/test/.*' is predicted as class 2, which no tr"
    ):
        scores(gram, unseen, lacking)
    few = Known({"train": known.train, "val": rows(folder / "few", pictures(4, 5))})
    with pytest.raises(DataError, match="4 ID validation images; a regression in 5 folds"):
        scores(mds_ensemble, unseen, few)
    none = Known({"train": known.train, "val": rows(folder / "none", [])})
    for detector in (gram, mds_ensemble):
        with pytest.raises(DataError):
            scores(detector, unseen, none)
