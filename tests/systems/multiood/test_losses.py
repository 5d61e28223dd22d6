"""MultiOOD's loss, bank and outliers, beside literal versions of the released rules."""

from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import kstest

from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.multiood.losses import disagreement
from shiftbench.systems.multiood.trainers import a2d

Floats = NDArray[np.float64]
WORDS = RandomStream(0, "test", "multiood", "key")


def released_distance(name: str, p: Floats, q: Floats) -> float:
    """Return the released distance of two batches of distributions; wasserstein in both directions."""
    if name == "l1":
        return float(np.abs(p - q).mean())
    if name == "l2":
        return float(((p - q) ** 2).mean())
    if name == "hellinger":
        p, q = np.clip(p, 1e-6, None), np.clip(q, 1e-6, None)
        return float((np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(-1)) / np.sqrt(2)).mean())
    apart = np.array([[np.linalg.norm(x - y) for y in q] for x in p])
    there = np.mean(np.sort(apart, axis=1)[:, 0]), np.mean(np.sort(apart.T, axis=1)[:, 0])
    return float(sum(there) / 2)


def released_a2d(logits: list[Floats], labels: list[int], name: str) -> float:
    """Return the released loss: the true class's logit is cut out of each row."""
    cut = [
        softmax(np.stack([np.delete(row, y) for row, y in zip(each, labels, strict=True)]), axis=1) for each in logits
    ]
    pairs = [(i, j) for i in range(len(cut)) for j in range(i)]
    return -float(np.mean([released_distance(name, cut[i], cut[j]) for i, j in pairs]))


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("name", ["hellinger", "l1", "l2", "wasserstein"])
def test_the_disagreement_is_the_released_one(name: str, modalities: int) -> None:
    random = np.random.default_rng(modalities)
    logits, labels = ([random.normal(0, 3, (9, 5)) for _ in range(modalities)], [0, 4, 1, 2, 3, 0, 1, 4, 4])
    tensors = [torch.from_numpy(each) for each in logits]
    found = disagreement.loss(tensors, torch.tensor(labels), name)
    assert found.item() == pytest.approx(released_a2d(logits, labels, name), abs=1e-7)
    whole = [softmax(each, axis=1) for each in logits]
    outliers = -np.mean([released_distance(name, whole[i], whole[j]) for i in range(modalities) for j in range(i)])
    assert disagreement.loss(tensors, None, name).item() == pytest.approx(outliers, abs=1e-7)
    assert abs(outliers - found.item()) > 1e-4  # leaving out the true class does something


def test_the_entropy_is_the_released_one() -> None:
    logits = [np.random.default_rng(n).normal(0, 2, (7, 6)) for n in range(3)]
    p = [softmax(each, axis=1) for each in logits]
    expected = -np.mean([(-(each * np.log(each + 1e-9)).sum(1) / np.log(6)).mean() for each in p])
    assert disagreement.undecided([torch.from_numpy(each) for each in logits]).item() == pytest.approx(
        expected, abs=1e-9
    )


def test_hellinger_of_equal_disjoint_and_exchanged_and_its_gradient_where_equal() -> None:
    p, q = (torch.from_numpy(softmax(np.random.default_rng(n).normal(size=(3, 4)), axis=1)) for n in (0, 1))
    one, other = torch.eye(4)[:1].double(), torch.eye(4)[1:2].double()
    assert disagreement.hellinger(p, p).max() < 1e-6
    assert disagreement.hellinger(one, other).item() == pytest.approx(1.0, abs=2e-3)  # clamped at 1e-6
    assert torch.equal(disagreement.hellinger(p, q), disagreement.hellinger(q, p))
    logits = torch.zeros(2, 4, requires_grad=True)
    disagreement.loss([logits, logits * 1.0], torch.tensor([0, 3])).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_two_classes_one_modality_and_unknown_distances_are_refused() -> None:
    two, three = torch.zeros(2, 2), torch.zeros(2, 3)
    with pytest.raises(ParamsError, match="2 classes; without the true one"):
        disagreement.loss([two, two], torch.tensor([0, 1]))
    with pytest.raises(ParamsError, match="one modality"):
        disagreement.loss([three], None)
    with pytest.raises(ParamsError, match="hellinger"):
        disagreement.loss([three, three], None, "helinger")
    with pytest.raises(ParamsError, match="2 classes"):
        a2d.check(defaults(a2d), 2, 2)
    with pytest.raises(ParamsError, match="cannot disagree"):
        a2d.check(defaults(a2d), 5, 1)


# --- the bank ---------------------------------------------------------------------------------------


class ReleasedBank:
    """The released rule: a class that is full waits until all are, then each takes the place of the oldest."""

    def __init__(self, classes: int, each: int) -> None:
        self.kept, self.each = [deque[float](maxlen=each) for _ in range(classes)], each

    def add(self, values: list[float], labels: list[int]) -> None:
        full = all(len(one) == self.each for one in self.kept)
        for value, label in zip(values, labels, strict=True):
            if full or len(self.kept[label]) < self.each:
                self.kept[label].append(value)


def test_the_bank_is_first_in_first_out_of_each_class_once_all_are_full() -> None:
    random, bank, released = np.random.default_rng(0), a2d.Bank(3, 4, 1), ReleasedBank(3, 4)
    was_full = []
    for step in range(30):
        labels = random.choice(3, 7, p=[0.7, 0.25, 0.05]).tolist()
        values = [100.0 * step + at for at in range(7)]
        bank.add(torch.tensor(values)[:, None], torch.tensor(labels))
        released.add(values, labels)
        was_full.append(bank.full)
        if bank.full:
            for label in range(3):
                assert bank.oldest_first(label)[:, 0].tolist() == list(released.kept[label])
    assert not was_full[1]
    assert was_full[-1]
    assert not bank.features.requires_grad


def filled(classes: int = 6, each: int = 5) -> a2d.Bank:
    bank, random = a2d.Bank(classes, each, 3), np.random.default_rng(1)
    labels = np.repeat(np.arange(classes), each)
    centres = 10 * random.normal(size=(classes, 3))[labels]
    bank.add(torch.from_numpy(centres + random.normal(size=centres.shape)).float(), torch.from_numpy(labels))
    return bank


def test_an_outlier_lies_between_a_feature_of_its_class_and_one_of_a_near_other_class() -> None:
    bank, partners = filled(), set()
    means = bank.features.mean(1).numpy()
    for draw in range(40):
        words = RandomStream(0, "test", "multiood", str(draw))
        for label, outlier in enumerate(bank.mix(words, 3, 10.0).double().numpy()):
            found = _partner(bank, label, outlier)
            order = np.argsort(np.linalg.norm(means - means[label], axis=1))
            assert order[0] == label  # what the released query leaves out
            assert found in order[1:3]
            partners.add((label, found))
    assert len(partners) == 12  # both neighbours of each of six classes are drawn


def _partner(bank: a2d.Bank, label: int, outlier: Floats) -> int:
    """Return the class that has, with a feature of `label`, the point on its segment."""
    features = bank.features.double().numpy()
    for other in range(len(features)):
        for a in features[label]:
            for b in features[other]:
                share = (outlier - b) @ (a - b) / max((a - b) @ (a - b), 1e-12)
                if other != label and 0 < share < 1 and np.allclose(share * a + (1 - share) * b, outlier, atol=1e-4):
                    return other
    raise AssertionError(f"no partner of class {label}")


def test_shares_are_of_the_beta_distribution() -> None:
    assert kstest(a2d.shares(WORDS, 4000, 10.0), "beta", (10.0, 10.0)).pvalue > 0.01
    assert kstest(a2d.shares(WORDS, 4000, 10.0), "beta", (5.0, 5.0)).pvalue < 1e-6


# --- the loss of a batch ----------------------------------------------------------------------------


def job(**options: Any) -> Any:
    names = ["rgb", "shape", "profile"][: options.pop("modalities", 2)]
    return training_jobs.job("modal_cnn", "a2d", model_params={"modalities": names}, epochs=2, **options)


def first_batch(one: Any) -> tuple[Any, Any, torch.Tensor]:
    net = _loop.fresh_net(one)
    inputs, labels = _loop.data(one, "train")
    return net, inputs[:16], labels[:16]


@pytest.mark.parametrize("unimodal", [False, True])
def test_without_weights_the_loss_is_that_of_classification_bit_for_bit(unimodal: bool) -> None:
    one = job(unimodal=unimodal, a2d=0.0, odis=0.0, oent=0.0)
    net, batch, labels = first_batch(one)
    found = a2d.Loss(one, 128)(net, batch, labels, WORDS)
    twin: Any = _loop.fresh_net(one)
    features = twin.features(_loop.tensor(batch, twin))
    each = [F.cross_entropy(twin.head(features), labels)]
    each += [F.cross_entropy(logits, labels) for logits in twin.alone(features)] if unimodal else []
    expected = torch.stack(each).sum() / len(each)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("modalities", [2, 3])
def test_every_term_has_its_weight_once_the_bank_is_full_and_the_epochs_are_over(modalities: int) -> None:
    one = job(modalities=modalities, a2d=0.3, odis=0.7, oent=0.2, bank=2, begin=0)
    net, batch, labels = first_batch(one)
    loss = a2d.Loss(one, 64 * modalities)
    before = loss(net, batch, labels, WORDS)  # fills the bank
    features = net.features(_loop.tensor(batch, net))
    alone = net.alone(features)
    known = a2d.classification_loss(net.head(features), alone, labels) + 0.3 * disagreement.loss(alone, labels)
    assert before.item() == pytest.approx(known.item(), abs=1e-5)
    assert loss.bank
    words = RandomStream(1, "test", "multiood", "key")
    after = loss(net, batch, labels, words)
    outliers = net.alone(loss.bank.mix(RandomStream(1, "test", "multiood", "key"), 3, 10.0))
    expected = known + 0.7 * disagreement.loss(outliers, None) + 0.2 * disagreement.undecided(outliers)
    assert after.item() == pytest.approx(expected.item(), abs=1e-5)
    assert len(alone) == modalities


def test_outliers_wait_for_their_epoch_and_are_not_made_without_their_weights() -> None:
    late = job(bank=2, begin=1, batch_size=16)  # 64 samples: the fifth step
    net, batch, labels = first_batch(late)
    loss = a2d.Loss(late, 128)
    values = [loss(net, batch, labels, WORDS).item() for _ in range(6)]
    assert max(values[:4]) - min(values[:4]) < 1e-4
    assert abs(values[4] - values[0]) > 0.1
    without = a2d.Loss(job(odis=0.0, oent=0.0, bank=2, begin=0), 128)
    without(net, batch, labels, WORDS)
    assert without.bank is None


def test_logit_norm_is_the_cross_entropy_of_directions_over_the_temperature() -> None:
    logits, labels = (torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1]))
    x = logits.double().numpy()
    scaled = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-7) / 0.04
    expected = -np.log(softmax(scaled, axis=1)[np.arange(6), labels.numpy()]).mean()
    assert a2d.classification_loss(logits, [], labels, 0.04).item() == pytest.approx(expected, rel=1e-5)


def test_the_last_best_epoch_is_kept_and_arms_differ() -> None:
    states = {}
    for name, options in {
        "cls": {"a2d": 0.0, "odis": 0.0, "oent": 0.0},
        "a2d": {"odis": 0.0, "oent": 0.0},
        "npmix": {},
    }.items():
        one = job(bank=2, begin=0, batch_size=32, lr=0.003, **options)
        states[name] = a2d.train(one)
        best = max(value for _, what, value in one.rows if what == "val_accuracy")
        net = _loop.fresh_net(one)
        net.load_state_dict(states[name])
        assert _loop.accuracy(net, *_loop.inputs(one, "val")) == best
    weights = [state["heads.rgb.weight"] for state in states.values()]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
