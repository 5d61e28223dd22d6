"""Detectors in feature space beside literal NumPy versions of the published equations, and beside pytorch-ood."""

import dataclasses
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from pytorch_ood import detector as peers  # type: ignore[import-untyped]

from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.data import splits
from shiftbench.plugins.detectors import (
    _neighbours,
    _statistics,
    fdbd,
    knn,
    mds,
    nci,
    nnguide,
    residual,
    rmds,
    she,
    ssd_plus,
    vim,
)
from shiftbench.plugins.detectors._rows import Head, Known, Rows

Floats = NDArray[np.float64]
C, D = 5, 12
RANDOM = np.random.default_rng(3)
HEAD = Head(RANDOM.normal(size=(C, D)), RANDOM.normal(size=C) / 4)


def rows(features: Any, labels: Any = None, head: Head = HEAD, name: str = "toy/train") -> Rows:
    """Rows of these features, their logits by the head."""
    features = np.asarray(features, dtype=np.float32)
    logits = head(features.astype(np.float64)).astype(np.float32)
    labels = logits.argmax(axis=1) if labels is None else labels
    columns = {
        "key": [f"{name}/{i:04d}" for i in range(len(features))],
        "label": pa.array(labels, pa.int32()),
        "prediction": pa.array(logits.argmax(axis=1), pa.int32()),
    }
    return Rows(pa.table(columns), features, logits, head, name=name)


def some(n: int, seed: int) -> Rows:
    """Classes around the head's weights, one label in ten another, non-negative features, some of them zero."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, C, n)
    features = np.maximum(random.normal(size=(n, D)) + 2 * HEAD.weight[labels], 0)
    wrong = random.random(n) < 0.1
    return rows(features, np.where(wrong, (labels + 1) % C, labels))


TRAIN, TEST = some(700, 0), some(90, 1)
Z, LABELS = TRAIN.features.astype(np.float64), TRAIN.labels
X = TEST.features.astype(np.float64)


def logsumexp(logits: Any) -> Any:
    return np.log(np.exp(np.asarray(logits, dtype=np.float64)).sum(axis=1))


def scored(detector: ModuleType, params: dict[str, Any] | None = None, train: Rows = TRAIN, of: Rows = TEST) -> Any:
    options = {**defaults(detector), **(params or {})}
    return detector.score(of, detector.fit(Known({"train": train}), options), options)


def squared(x: Floats, centre: Floats, covariance: Floats) -> float:
    return float((x - centre) @ np.linalg.inv(covariance) @ (x - centre))


def literal_mds() -> Any:
    means = [Z[c == LABELS].mean(axis=0) for c in range(C)]
    parts = [np.outer(z - means[c], z - means[c]) for z, c in zip(Z, LABELS, strict=True)]
    within = np.sum(parts, axis=0)
    return np.array([min(squared(x, mu, within / len(Z)) for mu in means) for x in X])


def literal_rmds() -> Any:
    mu, total = Z.mean(axis=0), np.cov(Z.T, bias=True)
    return literal_mds() - np.array([squared(x, mu, total) for x in X])


def literal_knn(k: int) -> Any:
    x, z = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (X, Z))
    return np.array([np.sort(((one - z) ** 2).sum(axis=1))[k - 1] for one in x])


def literal_residual(x: Floats, dim: int) -> Any:
    u = -np.linalg.pinv(HEAD.weight) @ HEAD.bias
    values, vectors = np.linalg.eig((Z - u).T @ (Z - u) / len(Z))
    rest = vectors[:, np.argsort(-values)[dim:]]
    return np.linalg.norm((x - u) @ rest, axis=1)


def literal_vim(dim: int) -> Any:
    alpha = TRAIN.logits.max(axis=1).astype(np.float64).mean() / literal_residual(Z, dim).mean()
    return alpha * literal_residual(X, dim) - logsumexp(TEST.logits)


def literal_she() -> Any:
    right = TRAIN.logits.argmax(axis=1) == LABELS
    means = [Z[right & (c == LABELS)].mean(axis=0) for c in range(C)]
    return np.array([-x @ means[f.argmax()] for x, f in zip(X, TEST.logits, strict=True)])


def literal_nnguide(k: int, chosen: Any) -> Any:
    x, z = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (X, Z))
    bank = z[chosen] * logsumexp(TRAIN.logits)[chosen, None]
    guidance = [np.sort(bank @ one)[::-1][:k].mean() for one in x]
    return -logsumexp(TEST.logits) * guidance


def literal_nci(alpha: float) -> Any:
    mu, scores = Z.mean(axis=0), []
    for x, f in zip(X, TEST.logits, strict=True):
        aligned = HEAD.weight[f.argmax()] @ (x - mu) / np.linalg.norm(x - mu)
        scores.append(-(aligned + alpha * np.abs(x).sum()))
    return np.array(scores)


def literal_fdbd(centre: Floats) -> Any:
    w, scores = HEAD.weight, []
    for x, f in zip(X, TEST.logits.astype(np.float64), strict=True):
        y = f.argmax()
        gaps = [(f[y] - f[c]) / np.linalg.norm(w[y] - w[c]) for c in range(C) if c != y]
        scores.append(-sum(gaps) / np.linalg.norm(x - centre))
    return np.array(scores)


def smallest_hashes(count: int) -> list[int]:
    return sorted(range(700), key=lambda i: splits.unit("nnguide", TRAIN.keys[i]))[:count]


@pytest.mark.parametrize(
    ("detector", "params", "literal"),
    [
        (mds, {}, literal_mds),
        (rmds, {}, literal_rmds),
        (knn, {}, lambda: literal_knn(50)),
        (knn, {"k": 1}, lambda: literal_knn(1)),
        (knn, {"k": 700}, lambda: literal_knn(700)),
        (vim, {}, lambda: literal_vim(6)),
        (vim, {"dim": 4}, lambda: literal_vim(4)),
        (residual, {"dim": 9}, lambda: literal_residual(X, 9)),
        (she, {}, literal_she),
        (nnguide, {}, lambda: literal_nnguide(7, smallest_hashes(7))),
        (nnguide, {"k": 20, "bank": 0.5}, lambda: literal_nnguide(20, smallest_hashes(350))),
        (nci, {}, lambda: literal_nci(1e-4)),
        (nci, {"alpha": 0.1}, lambda: literal_nci(0.1)),
        (fdbd, {}, lambda: literal_fdbd(Z.mean(axis=0))),
        (fdbd, {"normaliser": "norm"}, lambda: literal_fdbd(np.zeros(D))),
    ],
)
def test_published_equations(detector: ModuleType, params: dict[str, Any], literal: Callable[[], Any]) -> None:
    assert np.allclose(scored(detector, params), literal(), rtol=1e-9, atol=1e-12)


def test_pytorch_ood() -> None:
    layer = torch.nn.Linear(D, C)
    layer.weight.data, layer.bias.data = torch.tensor(HEAD.weight), torch.tensor(HEAD.bias)
    layer.float()
    z, x = torch.tensor(TRAIN.features), torch.tensor(TEST.features)
    y, n = torch.tensor(LABELS.astype(np.int64)), len(TRAIN)

    def agrees(peer: Any, ours: Floats) -> None:
        theirs = peer.fit_features(z, y).predict_features(x).detach().numpy()
        # Theirs is float32: digits that cancel in a difference of two terms are lost.
        assert np.allclose(theirs, ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())

    agrees(peers.Mahalanobis(None), scored(mds) / (2 * n))
    agrees(peers.RMD(None), scored(rmds) / n)
    agrees(peers.KNN(None, k=50), np.sqrt(scored(knn)))
    agrees(peers.ViM(None, 6, layer.weight, layer.bias), scored(vim))
    agrees(peers.SHE(None, layer), scored(she))
    agrees(peers.NNGuide(None, layer, k=9), scored(nnguide, {"k": 9, "bank": 1.0}))
    agrees(peers.fDBD(None, layer), scored(fdbd) / (C - 1))
    agrees(peers.NCI(None, layer, alpha=0.01), scored(nci, {"alpha": 0.01}))


def test_by_hand() -> None:
    """Two classes on a line: 0, 2 and 10, 12. Within, each is 1 off its mean: S = 1. Mean 6, total variance 26."""
    head = Head(np.array([[-1.0], [1.0]]), np.array([6.0, -6.0]))
    train = rows([[0], [2], [10], [12]], [0, 0, 1, 1], head)
    point = rows([[4]], head=head)  # predicted as class 0: logits 2 and -2
    assert scored(mds, train=train, of=point) == pytest.approx([9])  # (4 - 1)^2 / 1
    assert scored(rmds, train=train, of=point) == pytest.approx([9 - 4 / 26])
    assert scored(she, train=train, of=point) == pytest.approx([-4])  # pattern 1
    assert scored(fdbd, train=train, of=point) == pytest.approx([-(4 / 2) / 2])  # 2 from 5, 2 from 6
    assert scored(nci, {"alpha": 0.5}, train, point) == pytest.approx([-(1 + 2)])  # w = -1, z - mu = -2
    # Directions at 0, 90 and 180 degrees, seen from 0: squared distances 0, 2, 4.
    flat = Head(np.eye(2), np.zeros(2))
    ring = rows([[3, 0], [0, 2], [-1, 0]], head=flat)
    for k, expected in ((1, 0), (2, 2), (3, 4)):
        assert scored(knn, {"k": k}, ring, rows([[5, 0]], head=flat)) == pytest.approx([expected])


def test_one_pass_is_as_exact_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means a million times what varies: sums of squares about 0 would lose all digits."""
    monkeypatch.setattr(Rows.blocks, "__defaults__", (64,))
    features = np.round(np.random.default_rng(0).normal(size=(500, 3)) * 1024) / 1024
    labels = np.sort(np.arange(500) % 4)  # class 3 is not in the first blocks
    far = (features + 4096 * (1 + labels[:, None])).astype(np.float32)
    found = _statistics.by_class(rows(far, labels, Head(np.eye(3), np.zeros(3))))
    z = far.astype(np.float64)
    means = np.array([z[labels == c].mean(axis=0) for c in range(4)])
    assert np.allclose(found.means, means, rtol=1e-12)
    assert np.allclose(found.within, np.cov((z - means[labels]).T, bias=True), rtol=1e-9)
    assert np.allclose(found.mean, z.mean(axis=0), rtol=1e-12)
    assert np.allclose(found.total, np.cov(z.T, bias=True), rtol=1e-9)


@pytest.mark.parametrize("name", ["mds", "rmds", "vim", "residual", "she", "nnguide", "nci", "fdbd"])
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = sys.modules[f"shiftbench.plugins.detectors.{name}"]
    whole = scored(detector)
    monkeypatch.setattr(nnguide, "ROWS", 7)
    monkeypatch.setattr(Rows.blocks, "__defaults__", (33,))
    assert np.allclose(scored(detector), whole, rtol=1e-9, atol=1e-12)


def test_features_that_never_vary_have_no_part_in_distances() -> None:
    dead = np.concatenate([TRAIN.features, np.full((700, 1), 7)], axis=1)
    head = Head(np.concatenate([HEAD.weight, np.zeros((C, 1))], axis=1), HEAD.bias)
    far = np.concatenate([TEST.features, np.full((90, 1), 9)], axis=1)
    train, test = rows(dead, LABELS, head), rows(far, head=head)
    assert np.allclose(scored(mds, train=train, of=test), scored(mds), rtol=1e-9)
    assert np.allclose(scored(rmds, train=train, of=test), scored(rmds), rtol=1e-9, atol=1e-9)
    # A tolerance that leaves the direction of the largest variance alone.
    one = scored(mds, {"tolerance": 0.99})
    assert (one < scored(mds)).all()
    constant = rows(np.ones((9, 3)), np.arange(9) % 3, Head(np.eye(3), np.zeros(3)))
    with pytest.raises(DataError, match="do not vary within their classes.*take more"):
        scored(mds, train=constant, of=constant)
    for wrong in (1.0, -1e-3, "much"):
        with pytest.raises(ParamsError, match=r"tolerance is .* share in \[0, 1\)"):
            scored(mds, {"tolerance": wrong})


def test_directions_that_float32_alone_varies_are_constant() -> None:
    """Rank 10 of 64, far from 0: OpenOOD's tolerance takes rounding for directions, and divides by it."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(10, 64))
    inner = [random.normal(size=(n, 10)) for n in (600, 80)]
    train, test = (rows(300 + z @ mixing, np.arange(len(z)) % 2, Head(np.eye(2, 64), np.zeros(2))) for z in inner)
    labels = np.arange(600) % 2
    means = np.stack([inner[0][labels == c].mean(axis=0) for c in (0, 1)])
    covariance = np.cov((inner[0] - means[labels]).T, bias=True)
    exact = [min(squared(x, mean, covariance) for mean in means) for x in inner[1]]
    assert np.allclose(scored(mds, train=train, of=test), exact, rtol=1e-3)
    assert not np.allclose(scored(mds, {"tolerance": "openood"}, train, test), exact, rtol=0.1)


def close_features(n: int, seed: int, spread: float) -> NDArray[np.float32]:
    """Directions as near to each other as those of a collapsed class."""
    random = np.random.default_rng(seed)
    return (1 + spread * random.normal(size=(n, 40))).astype(np.float32)


@pytest.mark.parametrize("spread", [1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_neighbours_are_those_of_float64(spread: float, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where float32 products alone are wrong (asserted), for any block, batch and number of spare candidates."""
    head = Head(np.eye(2, 40), np.zeros(2))
    train, test = (rows(close_features(n, n, spread), head=head) for n in (500, 40))
    z, x = (_statistics.directions(some.features.astype(np.float64)) for some in (train, test))
    exact = np.sort(np.square(x[:, None] - z).sum(axis=2), axis=1)[:, k - 1]
    plain = np.sort(2 - 2 * x.astype(np.float32) @ z.T.astype(np.float32), axis=1)[:, k - 1]
    assert spread > 0.1 or not np.allclose(plain, exact, rtol=1e-6)
    assert np.allclose(scored(knn, {"k": k}, train, test), exact, rtol=1e-9)
    monkeypatch.setattr(_neighbours, "ROWS", 7)
    monkeypatch.setattr(_neighbours, "SPARE", 1)
    monkeypatch.setattr(_neighbours, "PAIRS", 10)
    monkeypatch.setattr(Rows.blocks, "__defaults__", (33,))
    assert np.allclose(scored(knn, {"k": k}, train, test), exact, rtol=1e-9)


def test_neighbours_that_are_equal_or_zero() -> None:
    """A hundred samples at one place, samples without a direction, and a query without one."""
    plane = Head(np.eye(2), np.zeros(2))
    train = rows([[1, 0]] * 100 + [[0, 1]] * 3 + [[0, 0]] * 2, head=plane)
    test = rows([[2, 0], [0, 3], [0, 0]], head=plane)
    for k, expected in ((1, (0, 0, 0)), (3, (0, 0, 1)), (5, (0, 1, 1)), (100, (0, 2, 1)), (105, (2, 2, 1))):
        found = scored(knn, {"k": k}, train, test)
        assert found == pytest.approx(expected, abs=1e-12), k


def test_features_may_be_memory_mapped(tmp_path: Any) -> None:
    np.save(tmp_path / "features.npy", TRAIN.features)
    mapped = dataclasses.replace(TRAIN, beside=np.load(tmp_path / "features.npy", mmap_mode="r"))
    for detector in (mds, vim, knn, nnguide):
        assert np.array_equal(scored(detector, train=mapped), scored(detector))


def test_faiss_gives_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "faiss", None)
        with pytest.raises(ParamsError, match=r"pip install 'shiftbench\[faiss\]', or set index: exact"):
            scored(knn, {"index": "faiss"})
    pytest.importorskip("faiss", reason="faiss is not installed")
    for k in (1, 50, 700):
        assert np.allclose(scored(knn, {"k": k, "index": "faiss"}), scored(knn, {"k": k}), rtol=1e-9)


def test_wrong_options_are_named() -> None:
    for detector, params, message in (
        (knn, {"k": 701}, "k is 701; expected 1 to 700, the number of training samples .toy/train"),
        (knn, {"k": 0}, "k is 0; expected 1 to 700"),
        (knn, {"index": "annoy"}, "index is 'annoy'; expected one of exact, faiss"),
        (vim, {"dim": 12}, "dim is 12; expected null or a whole number from 1 to 11: there are 12"),
        (residual, {"dim": 1000}, "dim is 1000; expected null or a whole number from 1 to 11"),
        (residual, {"dim": 2.5}, "dim is 2.5; expected"),
        (nnguide, {"bank": 0.0}, r"bank is 0.0; expected a share .* in \(0, 1\]"),
        (nnguide, {"k": 0}, "k is 0; expected a number of neighbours, 1 at least"),
        (fdbd, {"normaliser": "mean"}, "normaliser is 'mean'; expected one of distance, norm"),
    ):
        with pytest.raises(ParamsError, match=message):
            scored(detector, params)
    flat = TRAIN.features.copy()
    flat[:, 3:] = 0
    plain = Head(np.eye(C, D), np.zeros(C))
    few = rows(TRAIN.features[:5], LABELS[:5], plain)  # five samples span five dimensions
    for detector in (vim, residual):
        with pytest.raises(ParamsError, match="lie in 3 dimensions, beside which nothing is left"):
            scored(detector, {"dim": 3}, rows(flat, head=plain))
        with pytest.raises(ParamsError, match="take more training samples"):
            scored(detector, {"dim": 5}, few)


def test_bad_training_samples_are_named() -> None:
    broken = TRAIN.features.copy()
    broken[600, 3] = np.nan
    for detector in (mds, rmds, knn, vim, residual, she, nnguide, nci, fdbd):
        with pytest.raises(DataError, match="toy/train/0600"):
            scored(detector, train=dataclasses.replace(TRAIN, beside=broken))
        with pytest.raises(DataError, match="toy/train: no samples"):
            scored(detector, train=rows(np.zeros((0, D))))
    with pytest.raises(DataError, match=r"class 2 \(of 5, counted from 0\) has no training samples"):
        scored(mds, train=rows(TRAIN.features, np.where(LABELS == 2, 1, LABELS)))
    with pytest.raises(DataError, match="sample 'toy/train/0000' is of no class of the model"):
        scored(rmds, train=rows(TRAIN.features, np.where(np.arange(700) == 0, -1, LABELS)))
    with pytest.raises(DataError, match=r"is predicted as class 2 .* no training sample is classified"):
        scored(she, train=rows(TRAIN.features, np.where(LABELS == 2, 1, LABELS)))


def test_classes_of_the_same_weights_have_no_boundary() -> None:
    same = Head(np.ones((C, D)), np.zeros(C))
    with pytest.raises(ModelError, match="classes 0 and 1 have the same weights"):
        scored(fdbd, train=rows(TRAIN.features, LABELS, same))


def test_default_dimensions_leave_a_residual() -> None:
    """OpenOOD's 256, where that is at most half; the convnet has 96 features."""
    for width, left in ((600, 344), (512, 256), (96, 48), (3, 2)):
        train = rows(np.eye(width), head=Head(np.eye(2, width), np.zeros(2)))
        assert residual.fit(Known({"train": train}), {"dim": None}).basis.shape == (width, left)


@pytest.mark.parametrize("quirk", [False, True])
def test_ssd_plus_is_the_published_script_quirk_or_not(quirk: bool) -> None:
    known, asked = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (Z, X))
    mean, std = known.mean(axis=0), known.std(axis=0) + 1e-10
    q = (asked - mean) / std - (mean if quirk else 0)
    inverse = np.linalg.pinv(np.cov(((known - mean) / std).T, bias=True))
    expected = (q * (inverse @ q.T).T).sum(axis=1)
    assert np.allclose(scored(ssd_plus, {"quirk": quirk}), expected, rtol=1e-6)


def test_ssd_plus_refuses_equal_directions() -> None:
    lengths = np.linspace(1, 2, 50)[:, None]
    equal = rows(lengths * np.linspace(0.1, 1, D), np.zeros(50, dtype=int))
    with pytest.raises(DataError, match="do not vary"):
        scored(ssd_plus, train=equal, of=equal)


def test_ssd_plus_leaves_out_units_that_never_vary() -> None:
    dead = rows(np.where(np.arange(D) == 3, 0, TRAIN.features), LABELS)
    alive = np.delete(np.arange(D), 3)
    waking = X.copy()
    waking[:, 3] = 0
    fewer = scored(ssd_plus, train=dead, of=rows(waking))
    known = Z[:, alive] / np.linalg.norm(Z[:, alive], axis=1, keepdims=True)
    asked = X[:, alive] / np.linalg.norm(X[:, alive], axis=1, keepdims=True)
    covariance = np.cov(known.T, bias=True)
    expected = [squared(x, known.mean(axis=0), covariance) for x in asked]
    assert np.allclose(fewer, expected, rtol=1e-6)
