"""Detectors that need logits, some features too, beside literal versions of the published equations and pytorch-ood."""

import dataclasses
import math
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pytorch_ood import detector as peers  # type: ignore[import-untyped]
from scipy.optimize import minimize_scalar
from scipy.stats import weibull_min

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.plugins.detectors import (
    energy,
    entropy,
    gen,
    gradnorm,
    kl_matching,
    max_logit,
    mcm,
    msp,
    openmax,
    relation,
    temp_scale,
)
from shiftbench.plugins.detectors._rows import Known, Rows

D, C = 24, 6
RANDOM = np.random.default_rng(0)
WEIGHT, BIAS = RANDOM.normal(size=(C, D)), RANDOM.normal(size=C)


def rows(logits: Any, features: Any = None, labels: Any = None, name: str = "toy/test") -> Rows:
    """Rows of these logits."""
    kept = np.asarray(logits, dtype=np.float32)
    table = pa.table(
        {
            "key": [f"toy/{i:03d}" for i in range(len(kept))],
            "label": pa.array([-1] * len(kept) if labels is None else labels, pa.int32()),
        }
    )
    beside = None if features is None else np.asarray(features, dtype=np.float32)
    return Rows(table, beside, kept, name=name)


def drawn(n: int, seed: int, name: str) -> Rows:
    """Non-negative features and the logits that a linear head makes of them; 7 in 10 labels are the prediction."""
    random = np.random.default_rng(seed)
    features = np.maximum(random.normal(size=(n, D)), 0)
    logits = features @ WEIGHT.T + BIAS
    labels = np.where(random.random(n) < 0.7, logits.argmax(axis=1), random.integers(C, size=n))
    return rows(logits, features, labels, name)


TRAIN, VAL, TEST = drawn(400, 1, "toy/train"), drawn(150, 2, "toy/val"), drawn(60, 3, "toy/test")
KNOWN = Known({"train": TRAIN, "val": VAL})


def scores(detector: ModuleType, some: Rows = TEST, known: Known = KNOWN, **options: Any) -> Any:
    params = {**defaults(detector), **options}
    return detector.score(some, detector.fit(known, params), params)


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


# ---------------------------------------------------------------------------- the equations, one sample at a time


def softmax(f: Any, temperature: float = 1.0) -> list[float]:
    powers = [math.exp(value / temperature) for value in np.asarray(f, dtype=float)]
    return [power / sum(powers) for power in powers]


def literal_msp(f: np.ndarray, z: np.ndarray) -> float:
    return -max(softmax(f))


def literal_energy(f: np.ndarray, z: np.ndarray) -> float:
    return -2 * math.log(sum(math.exp(value / 2) for value in f))


@cache
def best_temperature() -> float:
    def loss(log_t: float) -> float:
        t = math.exp(log_t)
        pairs = zip(VAL.logits, VAL.labels, strict=True)
        return -sum(math.log(softmax(own, t)[label]) for own, label in pairs)

    best = minimize_scalar(loss, bounds=(-2, 4), method="bounded", options={"xatol": 1e-9})
    return math.exp(best.x)


def literal_temp_scale(f: np.ndarray, z: np.ndarray) -> float:
    return -max(softmax(f, best_temperature()))


def literal_max_logit(f: np.ndarray, z: np.ndarray) -> float:
    return -float(max(f))


def literal_entropy(f: np.ndarray, z: np.ndarray) -> float:
    return -sum(p * math.log(p) for p in softmax(f))


def literal_gen(f: np.ndarray, z: np.ndarray) -> float:
    return float(sum(p**0.1 * (1 - p) ** 0.1 for p in sorted(softmax(f))[-4:]))


def literal_mcm(f: np.ndarray, z: np.ndarray) -> float:
    return -max(softmax([value / 10 for value in f], 0.5))


def literal_kl(f: np.ndarray, z: np.ndarray) -> float:
    others = [softmax(other) for other in VAL.logits]
    divergences = []
    for c in range(C):
        template = np.mean([p for p in others if max(p) == p[c]], axis=0)
        divergences.append(sum(p * math.log(p / q) for p, q in zip(softmax(f), template, strict=True)))
    return min(divergences)


def literal_gradnorm(f: np.ndarray, z: np.ndarray) -> float:
    """By automatic differentiation of KL(uniform || softmax(f / 2)) through the head."""
    weight = tensor(WEIGHT).requires_grad_()
    # A bias that makes up for the rounding of the logits to float32, so that both see the same.
    logits = weight @ tensor(z) + tensor(f - WEIGHT @ z)
    uniform = torch.full((C,), 1 / C, dtype=torch.float64)
    loss = torch.sum(uniform * (uniform.log() - torch.log_softmax(logits / 2, dim=0)))
    (gradient,) = torch.autograd.grad(loss, weight)
    return -float(gradient.abs().sum())


def literal_relation(f: np.ndarray, z: np.ndarray) -> float:
    total = 0.0
    for other_f, other_z in zip(TRAIN.logits[::3], TRAIN.features[::3], strict=True):
        other = other_z.astype(float)
        cosine = z @ other / math.sqrt((z @ z) * (other @ other))
        base = max(0, cosine) * float(np.dot(softmax(f), softmax(other_f)))
        total += base**4 if base > 0.03 else 0
    return -total


EQUATIONS = [
    (msp, literal_msp, {}),
    (energy, literal_energy, {"temperature": 2.0}),
    (temp_scale, literal_temp_scale, {}),
    (max_logit, literal_max_logit, {}),
    (entropy, literal_entropy, {}),
    (gen, literal_gen, {"M": 4}),
    (mcm, literal_mcm, {"tau": 0.5, "scale": 10.0}),
    (kl_matching, literal_kl, {}),
    (gradnorm, literal_gradnorm, {"temperature": 2.0}),
    (relation, literal_relation, {"pow": 4, "hop": 3}),
]


@pytest.mark.parametrize(("detector", "equation", "options"), EQUATIONS)
def test_the_published_equation(detector: ModuleType, equation: Any, options: Any) -> None:
    found = scores(detector, **options)
    assert found.dtype == np.float64
    expected = [equation(f.astype(float), z.astype(float)) for f, z in zip(TEST.logits, TEST.features, strict=True)]
    # The literal temperature is a minimum of rounded sums, known to about 1e-8.
    assert np.allclose(found, expected, rtol=1e-7 if detector is temp_scale else 1e-9, atol=1e-12)


def test_openmax_is_the_published_algorithm() -> None:
    tail, translate, alpha = 20, 1.0, 3
    right = TRAIN.logits.argmax(axis=1) == TRAIN.labels
    fitted = []
    for c in range(C):
        own = TRAIN.logits[right & (TRAIN.labels == c)].astype(float)
        mean = sum(own) / len(own)
        distances = sorted(math.dist(f, mean) for f in own)[-tail:]
        excess = [d - distances[0] + translate for d in distances]
        # scipy minimises with a simplex, to four digits here.
        shape, _, scale = weibull_min.fit(excess, floc=0)
        fitted.append((mean, distances[0], shape, scale))
    state = openmax.fit(KNOWN, defaults(openmax))
    assert np.allclose(state.shape, [shape for _, _, shape, _ in fitted], rtol=1e-3)
    assert np.allclose(np.exp(state.log_scale), [scale for *_, scale in fitted], rtol=1e-3)

    def unknown(f: np.ndarray) -> float:
        revised, mass = list(f), 0.0
        for rank, c in enumerate(sorted(range(C), key=lambda c: -f[c])[:alpha], 1):
            mean, least, _, _ = fitted[c]
            x = math.dist(f, mean) - least + translate
            w = 1 - math.exp(-((x / math.exp(state.log_scale[c])) ** state.shape[c])) if x > 0 else 0
            weight = (alpha + 1 - rank) / alpha * w
            revised[c] = f[c] * (1 - weight)
            mass += f[c] * weight
        return math.exp(mass) / (math.exp(mass) + sum(math.exp(value) for value in revised))

    found = scores(openmax)
    assert np.allclose(found, [unknown(f.astype(float)) for f in TEST.logits], rtol=1e-9)
    assert 0 < found.min() < 0.1
    assert found.max() > 0.9


def test_weibull_tails_maximise_the_likelihood() -> None:
    # libMR's C code (`weibull_fit`, HEAD of December 2022) gives shape 4.731588, scale 1.473752 for this tail.
    r = np.random.default_rng(0)
    distances = np.sort(np.sqrt(r.chisquare(10, size=500)))[-20:]
    logs = openmax._log(distances - distances[0], 1.0)
    shape, log_scale = openmax._weibull(logs, "class 0")
    assert (shape, math.exp(log_scale)) == pytest.approx((4.731588, 1.473752), rel=5e-6)

    def likelihood(shape: float, scale: float) -> float:
        return float(weibull_min.logpdf(np.exp(logs), shape, scale=scale).sum())

    best = likelihood(shape, math.exp(log_scale))
    for factor in (0.999, 1.001):
        assert likelihood(factor * shape, math.exp(log_scale)) < best
        assert likelihood(shape, factor * math.exp(log_scale)) < best


# ---------------------------------------------------------------------------- pytorch-ood 0.4.0


def peer_gradnorm(f: torch.Tensor) -> Any:
    model = torch.nn.Linear(D, C).double()
    model.load_state_dict({"weight": tensor(WEIGHT), "bias": tensor(BIAS)})
    peer = peers.GradNorm(model, param_filter=lambda name: name == "weight")
    return peer.predict(tensor(TEST.features))


PEERS = [
    (msp, {}, lambda f: peers.MaxSoftmax(None).predict_logits(f)),
    (energy, {}, lambda f: peers.EnergyBased(None).predict_logits(f)),
    (max_logit, {}, lambda f: peers.MaxLogit(None).predict_logits(f)),
    (entropy, {}, lambda f: peers.Entropy(None).predict_logits(f)),
    (gen, {"M": 4}, lambda f: 4 * peers.GEN(None, M=4).predict_logits(f)),
    (kl_matching, {}, lambda f: peers.KLMatching(None).fit_logits(tensor(VAL.logits)).predict_logits(f)),
    (gradnorm, {}, peer_gradnorm),
]


@pytest.mark.parametrize(("detector", "options", "peer"), PEERS)
def test_pytorch_ood(detector: ModuleType, options: Any, peer: Any) -> None:
    theirs = peer(tensor(TEST.logits)).detach().numpy()
    # They clip probabilities at 1e-7, which this data reaches.
    clipped = detector in (entropy, gen)
    plain = np.array([min(softmax(f)) > 1e-7 for f in TEST.logits]) | (not clipped)
    assert plain.sum() > 10
    assert np.allclose(scores(detector, **options)[plain], theirs[plain], rtol=1e-5, atol=1e-12)


def test_pytorch_ood_from_embeddings() -> None:
    r = np.random.default_rng(4)
    images, texts = r.normal(size=(20, D)), r.normal(size=(C, D))
    cosines = images @ texts.T / np.outer(*(np.linalg.norm(x, axis=1) for x in (images, texts)))
    theirs = peers.MCM(None, tensor(texts), temperature=0.1).predict_features(tensor(images))
    found = scores(mcm, rows(100 * cosines), tau=0.1, scale=100.0)
    assert np.allclose(found, theirs.numpy(), rtol=1e-5)


def test_pytorch_ood_stops_short_of_the_best_temperature() -> None:
    labels = torch.tensor(VAL.labels).long()
    peer = peers.TemperatureScaling(None).fit_logits(tensor(VAL.logits), labels)
    best = temp_scale.fit(KNOWN, {})
    # 50 steps of 0.01 from 1 towards 1.82; OpenOOD begins at 1.5.
    assert 1 < float(peer.t.detach()) < 1.3 < 1.8 < best < 1.9
    peer.t.data.fill_(best)
    theirs = peer.predict_logits(tensor(TEST.logits)).detach().numpy()
    assert np.allclose(scores(temp_scale), theirs, rtol=1e-5)


def test_pytorch_ood_openmax() -> None:
    right = TRAIN.logits.argmax(axis=1) == TRAIN.labels
    peer = peers.OpenMax(None, tailsize=20, alpha=3)
    peer.fit_logits(tensor(TRAIN.logits[right]), torch.tensor(TRAIN.labels[right]))
    # In one batch in which every class is predicted: they know distances to no other.
    assert len(set(TEST.logits.argmax(axis=1))) == C
    theirs = peer.predict_logits(tensor(TEST.logits)).numpy()
    # Their simplex stops at about four digits.
    assert np.allclose(scores(openmax, translate=10_000.0), theirs, rtol=0.01)


# ---------------------------------------------------------------------------- by hand, and at the edges


def test_by_hand() -> None:
    even = rows([[0.0, 0.0]], [[3.0, 0.0]])
    assert scores(msp, even) == [-0.5]
    assert scores(energy, even, temperature=2.0) == pytest.approx([-2 * math.log(2)])
    assert scores(entropy, even) == pytest.approx([math.log(2)])
    assert scores(gen, even, gamma=0.5) == pytest.approx([1.0])  # 2 * sqrt(1/2 * 1/2)
    assert scores(gradnorm, even) == [0]
    # p = (3/4, 1/4): ||z||_1 * (1/4 + 1/4) = 3/2.
    assert scores(gradnorm, rows([[math.log(3), 0.0]], [[3.0, 0.0]])) == pytest.approx([-1.5])


def test_very_confident_samples_keep_their_order() -> None:
    # p of the largest is 1 - 2e-18 and 1 - 4e-22: 1 in float64.
    found = scores(gen, rows([[41.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), gamma=1.0)
    assert found == pytest.approx([4 * math.exp(-41), 4 * math.exp(-50)], rel=1e-6)
    known = Known({"val": rows([[2000.0, 0.0], [0.0, 2000.0]])})
    found = scores(kl_matching, rows([[0.0, 0.0], [2000.0, 0.0]]), known)
    assert found == pytest.approx([1000 - math.log(2), 0], abs=1e-9)


def test_temperatures_stay_in_their_range() -> None:
    def fitted(logits: Any, labels: Any) -> float:
        return float(temp_scale.fit(Known({"val": rows(logits, None, labels)}), {}))

    # Two logits 0 and a, right in 3 of 4 samples: softmax(a / T) = 3/4, so T = a / log 3.
    assert fitted([[2.0, 0.0]] * 4, [0, 0, 0, 1]) == pytest.approx(2 / math.log(3), rel=1e-10)
    assert fitted([[2.0, 0.0]] * 5, [0, 0, 0, 1, -1]) == pytest.approx(2 / math.log(3), rel=1e-10)
    assert fitted([[2.0, 0.0]] * 4, [0, 0, 0, 0]) == 0.1
    assert fitted([[2.0, 0.0]] * 4, [0, 0, 1, 1]) == 100
    with pytest.raises(DataError, match="toy/test: .* of the model's classes, found none among 3"):
        fitted(np.zeros((3, 2)), [-1, -1, -1])


def test_classes_without_predictions_have_no_template() -> None:
    known = Known({"val": rows([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0]])})
    assert kl_matching.fit(known, {}).shape == (2, 3)
    with pytest.raises(DataError, match="toy/test: KL matching needs validation samples"):
        kl_matching.fit(Known({"val": rows(np.zeros((0, 3)))}), {})


def test_relations_see_what_is_there() -> None:
    some = rows([[5.0, 0.0]] * 3, [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    known = Known({"train": rows([[5.0, 0.0]], [[2.0, 0.0]])})
    alike = sum(p * p for p in softmax([5.0, 0.0]))
    assert scores(relation, some, known) == pytest.approx([0, -alike, 0])
    # Through blocks on both sides, and from logits that only the records hold.
    assert np.allclose(scores(relation, hop=7), scores(relation, known=_sparse(7)), rtol=1e-12)
    with pytest.raises(ParamsError, match="hop: expected 1 or more, found 0"):
        scores(relation, hop=0)
    with pytest.raises(DataError, match="relations need training samples, found none"):
        scores(relation, known=Known({"train": rows(np.zeros((0, 2)), np.zeros((0, 3)))}))


def _sparse(hop: int) -> Known:
    """Every hop-th training sample, the logits as a column of the records."""
    kept = TRAIN.logits[::hop]
    table = TRAIN.table.take(pa.array(range(0, len(TRAIN), hop)))
    table = table.append_column("logits", pa.array(list(kept), pa.list_(pa.float32())))
    return Known({"train": Rows(table, TRAIN.features[::hop])})


def test_openmax_needs_a_tail_of_every_class() -> None:
    def fit(logits: Any, labels: Any) -> Any:
        return openmax.fit(Known({"train": rows(logits, None, labels)}), defaults(openmax))

    with pytest.raises(DataError, match="toy/test: .* sample of every class, and class 1 has none"):
        fit([[1.0, 0.0], [1.5, 0.0]], [0, 1])
    with pytest.raises(DataError, match="class 0: its 2 most distant training samples are equally"):
        fit([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], [0, 0, 1, 1])
    # Fewer than the tail are enough; alpha is at most the number of classes.
    few = fit([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 5.0]], [0] * 3 + [1] * 3)
    near, far = openmax.score(rows([[2.4, 0.0], [90.0, 80.0]]), few, defaults(openmax))
    assert near < far == pytest.approx(1)


BAD = [
    (msp, {"temperature": 0.0}, "temperature: expected a number above 0, found 0.0"),
    (energy, {"temperature": -1.0}, "temperature: expected"),
    (gen, {"gamma": 0.0}, "gamma: expected"),
    (gen, {"M": 0}, "M: expected"),
    (mcm, {"scale": -1.0}, "scale: expected"),
    (gradnorm, {"temperature": 0.0}, "temperature: expected"),
    (openmax, {"tail": 1}, "tail: expected two distances or more, found 1"),
    (relation, {"pow": 0}, "pow: expected a number above 0"),
    (openmax, {"alpha": 0}, "alpha: expected"),
]


@pytest.mark.parametrize(("detector", "options", "message"), BAD)
def test_bad_options_are_named(detector: ModuleType, options: Any, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        scores(detector, **options)


@pytest.mark.parametrize("detector", [msp, temp_scale, kl_matching, openmax, gradnorm, relation])
def test_values_that_are_not_finite_are_named(detector: ModuleType) -> None:
    logits, features = TEST.logits.copy(), TEST.features.copy()
    logits[7, 0] = np.nan
    with pytest.raises(DataError, match="toy/test: the logits of sample 'toy/007' are not all"):
        scores(detector, dataclasses.replace(TEST, kept_logits=logits))
    features[9, 1] = np.inf
    if "features" in detector.NEEDS:
        with pytest.raises(DataError, match="the features of sample 'toy/009' are not all"):
            scores(detector, dataclasses.replace(TEST, beside=features))
