"""Smoothing by confidence and curricula against the released steps; what is watched while a net learns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import convnet
from shiftbench.systems.safe_reliable_ai_thesis.trainers import _confidences, confidence_curriculum, watched_erm
from shiftbench.systems.safe_reliable_ai_thesis.trainers.confidence_curriculum import Curriculum
from shiftbench.workflow.stages.train import train_weights

SMALL = {"width": 4, "size": 14, "features": 8}
LABELS = np.arange(64) % 4


def job(tmp_path: Path, trainer: str, raters: int = 2, **options: Any) -> TrainJob:
    """Return a job whose judge and raters are nets with random weights."""
    given = {"epochs": 3, "raters": list(range(raters)), "judge": "judge", "rater": "rater", **options}
    names = [("judge", 0), *(("rater", seed) for seed in range(raters))]
    inputs = {}
    for name, seed in names:
        torch.manual_seed(seed + len(name))
        net = convnet.build({**defaults(convnet), **SMALL}, 4)
        head: Any = net.get_submodule("head")
        head.weight.data *= 20  # sure of itself
        file = training_jobs.write(tmp_path / f"{name}{seed}.safetensors", net.state_dict())
        inputs[refs.checkpoint("tiny", "convnet", name, seed)] = file
    module = registry.find("trainers", trainer)
    known = {key: value for key, value in given.items() if key in defaults(module)}
    made = training_jobs.job("convnet", trainer, inputs=inputs, model_params=SMALL, **known)
    return replace(made, seed=12345)  # derived from the training seed, and not the one in names


# ------------------------------------------------------------------------------------- smoothing


def released_targets(
    labels: np.ndarray, smoothing: float, confidences: np.ndarray | None, weight: float
) -> torch.Tensor:
    """Return the targets of the released loss."""
    each = smoothing if confidences is None else smoothing + torch.tensor(confidences) / weight
    one_hot = torch.nn.functional.one_hot(torch.tensor(labels), 4).double()
    mixed = one_hot * (1.0 - smoothing) + each / 4
    return mixed / mixed.sum(1)[:, None]


@pytest.mark.parametrize("weight", [500.0, 1.5])
def test_targets_are_those_of_the_released_loss(weight: float) -> None:
    confidences = np.array([0.9, 0.5, 0.7, 0.2])
    labels = np.array([2, 0, 3])
    found = confidence_curriculum.targets(labels, 4, 0.09, confidences / weight)
    expected = released_targets(labels, 0.09, confidences, weight)
    assert torch.allclose(found.double(), expected, atol=1e-7)
    assert torch.allclose(found.sum(1), torch.ones(3))
    # By hand: class 2 of 4, w 1.5: 0.91 + (0.09 + 0.7 / 1.5) / 4 of a sum of 1 + 2.3 / 1.5 / 4.
    if weight == 1.5:
        assert found[0, 2] == pytest.approx((0.91 + (0.09 + 0.7 / 1.5) / 4) / (1 + 2.3 / 6))
    plain = confidence_curriculum.targets(labels, 4, 0.3, np.zeros(4))
    assert torch.allclose(plain.double(), released_targets(labels, 0.3, None, 1))


def test_confidences_of_models_and_people() -> None:
    shares = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    labels = np.array([0, 0, 1])
    assert _confidences.scores(shares, labels, "model").tolist() == [0.7, 0.2, 0.5]
    # Standard deviations 0.2, 0.3, 0, stretched.
    assert _confidences.scores(shares, labels, "human") == pytest.approx([2 / 3, 1, 0])
    assert _confidences.of_classes(shares, labels) == pytest.approx([0.45, 0.5])
    assert _confidences.scores(np.full((3, 2), 0.5), labels, "human").tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------ curriculum


def released_thresholds(scores: np.ndarray, ratio: float, end: int, epochs: int) -> list[float]:
    """Return the released threshold in each epoch."""
    mu = 0.0
    for mu in np.arange(1, 0, -0.001):
        if (scores > mu).sum() / len(scores) >= ratio:
            break
    beta, used = mu / end, []
    mu = 0 if ratio == 1 else mu
    for epoch in range(1, epochs + 1):
        used.append(mu)
        mu = max(mu - beta, 0) if epoch <= end else 0
    return used


@pytest.mark.parametrize(("share", "end"), [(0.8, 5), (0.9, 2), (1, 3)])
def test_thresholds_are_those_of_the_released_loop(share: float, end: int) -> None:
    scores = np.random.default_rng(2).random(500) ** 0.5
    curriculum, found, counted = Curriculum(scores, share, end), [], []
    for _ in range(end + 3):
        found.append(curriculum.threshold)
        counted.append(curriculum.counts(np.arange(500)).mean())
        curriculum.next_epoch()
    assert found == pytest.approx(released_thresholds(scores, share, end, end + 3), abs=1e-9)
    # The share that counts grows to 1 by epoch E.
    assert counted[0] >= share
    assert counted == sorted(counted)
    assert counted[end:] == [1] * 3
    assert share == 1 or counted[0] < 1


def test_shuffled_scores_are_the_same_and_say_nothing() -> None:
    scores = np.random.default_rng(3).uniform(size=2000)
    found = [confidence_curriculum.shuffled(scores, seed) for seed in range(4)]
    for one in found:
        assert np.array_equal(np.sort(one), np.sort(scores))
        assert abs(np.corrcoef(one, scores)[0, 1]) < 0.1
        assert Curriculum(one, 0.8, 5).threshold == Curriculum(scores, 0.8, 5).threshold
    assert np.array_equal(found[0], confidence_curriculum.shuffled(scores, 0))
    assert not np.array_equal(found[0], found[1])


def test_without_scores_all_count() -> None:
    assert Curriculum(None, 0.8, 5).counts(np.arange(4)).all()
    with pytest.raises(ParamsError, match="share is 0; expected one in"):
        Curriculum(np.ones(3), 0.0, 5)
    # No threshold leaves so many: the lowest.
    assert confidence_curriculum.first_threshold(np.zeros(9), 0.5) == 0.001


# --------------------------------------------------------------------------------------- training


def logged(done: TrainJob, name: str) -> list[float]:
    return [value for _, one, value in done.rows if one == name]


ARMS = ("label_smoothing", "confidence_smoothing", "curriculum", "mcls_curriculum", "mcls_shuffled", "hcls_curriculum")


def test_arms_differ_where_they_should(tmp_path: Path) -> None:
    """Smoothing changes weights, ranking does, and the plain arm is label smoothing of torch."""
    found = {}
    for arm in ARMS:
        given = job(tmp_path, arm, rater_model="convnet", end=2, weight=1.0)
        found[arm] = train_weights(given)[0]["head.weight"]
        shares = logged(given, "share")
        assert len(shares) == 3
        assert shares[-1] == 1
        assert (shares[0] < 1) == ("curriculum" in arm or "shuffled" in arm)
    values = list(found.values())
    for at, one in enumerate(values):
        assert all(not torch.equal(one, other) for other in values[at + 1 :])


def test_a_batch_of_which_nothing_counts_is_no_nan(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Curriculum, "counts", lambda _, rows: np.zeros(len(rows), dtype=bool))
    state, _ = train_weights(job(tmp_path, "mcls_curriculum"))
    assert all(torch.isfinite(value).all() for value in state.values())


def test_people_are_believed_before_raters(tmp_path: Path) -> None:
    given = job(tmp_path, "hcls_curriculum", rater_model="convnet")
    samples = given.samples("train")
    votes = _confidences.shares(given, samples, "human")
    assert set((2 * votes).round(9).ravel()) <= {0, 1, 2}  # of two raters
    said = [s.with_field("meta", {"human": [0.4, 0.3, 0.2, 0.1]}) for s in samples]
    assert (_confidences.shares(given, said, "human") == [0.4, 0.3, 0.2, 0.1]).all()
    wrong = [s.with_field("meta", {"human": [0.4, 0.3]}) for s in samples]
    with pytest.raises(DataError, match="tiny: `meta.human` has shape .*share of each of 4 classes"):
        _confidences.shares(given, wrong, "human")
    with pytest.raises(ParamsError, match="holds no human labels, and raters is empty"):
        _confidences.shares(job(tmp_path, "hcls_curriculum", raters=0), samples, "human")


def test_what_is_needed_follows_from_what_is_asked() -> None:
    context = {"dataset": "tiny", "model": "convnet", "seed": 3, "judged_on": "others"}
    names = {}
    for arm in ARMS:
        module = registry.find("trainers", arm)
        needs = module.needs({**defaults(module), **context})
        names[arm] = [ref.name for ref in needs if ref.kind == "checkpoints"]
    assert names["label_smoothing"] == []
    assert names["mcls_curriculum"] == ["others/convnet-erm-s3"]
    assert names["hcls_curriculum"] == [f"others/convnet-erm-s{seed}" for seed in range(5)]
    module = registry.find("trainers", "hcls_curriculum")
    both = {**defaults(module), **context, "rank_by": "model"}
    with pytest.raises(ParamsError, match="judge and raters are both convnet-erm"):
        module.needs(both)
    assert len(module.needs({**both, "rater": "other"})) == 2 + 6
    with pytest.raises(ParamsError, match="rank_by is 'modl'.*model"):
        confidence_curriculum.kinds({"smooth_by": "uniform", "rank_by": "modl"})


# ---------------------------------------------------------------------------------------- watching


def test_what_is_watched_by_hand() -> None:
    """Two classes at logits +-1: p = 0.8808; the third sample is wrong."""
    logits = np.array([[1.0, -1], [-1, 1], [1, -1], [1, -1]])
    found = watched_erm.measures(logits, np.array([0, 1, 1, 0]))
    p = 1 / (1 + np.exp(-2))
    assert found["accuracy"] == 0.75
    assert found["nll"] == pytest.approx(-(3 * np.log(p) + np.log(1 - p)) / 4)
    assert found["ece"] == pytest.approx(p - 0.75)
    # Levels p - 1 (class 0) and p - 0.5 (class 1), one class on each side.
    assert found["mcs"] == pytest.approx((p - 1 + p - 0.5) / 2)


def test_each_epoch_is_watched() -> None:
    given = training_jobs.job("convnet", "watched_erm", model_params=SMALL, epochs=2)
    train_weights(given)
    names = {name for _, name, _ in given.rows}
    measures = ("nll", "accuracy", "ece", "mcs")
    assert {f"{split}_{one}" for split in ("train", "val") for one in measures} <= names
    assert len(logged(given, "val_accuracy")) == len(logged(given, "train_mcs")) == 2
    steps = {step for step, name, _ in given.rows if name in ("val_nll", "train_loss")}
    assert len(steps) == 2
