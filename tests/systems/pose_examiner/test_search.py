"""A searcher end to end on errors that are known: it is given up, grows, is measured; bodies and their prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation import nets
from shiftbench.plugins.datasets import _bodies
from shiftbench.systems.pose_examiner.datasets import _examined
from shiftbench.systems.pose_examiner.models import heatmap_net
from shiftbench.systems.pose_examiner.trainers import _pose_search
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

ELBOW = _bodies.ANGLES.index("left_elbow")
BENT = 1.2
"""Radians of the left elbow from which the known model errs."""
BRIEF = {"points": 40, "iterations": 8, "poses": 3, "samples": 30, "height": 64, "width": 48}
ARMS = ("examiner", "random_search", "cma_search")


class Known:
    """Errs by 0.2 torsos where the left elbow is bent, by 0.05 elsewhere; the deeper, the more."""

    missed = 0

    def __init__(self) -> None:
        self.looked = 0

    def errors(self, poses: np.ndarray) -> np.ndarray:
        self.looked += len(poses)
        bent = poses[:, ELBOW]
        return np.where(bent > BENT, 0.2, 0.05) + 0.01 * bent


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Known]:
    made: list[Known] = []

    def stand_in(_job: Any) -> Known:
        made.append(Known())
        return made[-1]

    monkeypatch.setattr(_pose_search, "Tested", stand_in)
    return made


def job(trainer: str = "examiner", seed: int = 0, **params: Any) -> Any:
    made = training_jobs.job("heatmap_net", trainer, **{**BRIEF, "seed": seed, **params})
    object.__setattr__(made, "classes", COCO_17)
    return made


def found(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


@pytest.mark.parametrize("arm", ARMS)
def test_a_region_ends_where_the_model_is_right_again(arm: str, known: list[Known]) -> None:
    for seed in range(3):
        made = found(train_weights(job(arm, seed, iterations=25))[0])
        assert (made["low"] >= _examined.LOW).all()
        assert (made["high"] <= _examined.HIGH).all()
        assert ((made["samples"] >= made["low"]) & (made["samples"] <= made["high"])).all()
        if made["found"][0] >= 0.1:  # the centre is a failure
            assert made["low"][ELBOW] > BENT - 0.0301
            assert made["errors"].mean() > made["prior_errors"].mean()
            assert (made["high"] - made["low"]).max() > 0.06


def test_a_searcher_that_ends_below_the_threshold_is_given_up(
    known: list[Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Known, "errors", lambda _, poses: np.full(len(poses), 0.09))
    made = found(train_weights(job())[0])
    centre, first, second, missed = made["found"]
    assert (centre, first, second, missed) == (0.09, 40, 0, 0)
    assert (made["high"] - made["low"]).max() <= 0.06 + 1e-12


def test_all_searchers_may_look_equally_often_and_look_elsewhere(known: list[Known]) -> None:
    """Of a model that never errs enough nobody stops before."""
    latents = []
    for arm in ARMS:
        made = found(train_weights(job(arm, threshold=0.0, margin=9.0))[0])
        latents.append(made["latent"])
        assert made["found"][1:3].tolist() == [40, 8 * 5 * 3]
    # one more picture of the centre, and the samples of region and prior
    assert {one.looked for one in known} == {40 + 1 + 8 * 5 * 3 + 30 + 30}
    assert len({latent.tobytes() for latent in latents}) == 3


def test_reinforce_alone_stops_when_ten_errors_are_large_enough() -> None:
    params = {**defaults(registry.find("trainers", "examiner"))}
    large, small = [0.2] * 30, [0.2] * 25 + [0.105] + [0.2] * 4
    assert _pose_search.enough(large, params)
    assert not _pose_search.enough(large[:20], params)
    assert _pose_search.enough(large[:21], params)
    assert not _pose_search.enough(small, params)


def test_the_same_searcher_gives_the_same_bytes_another_gives_others(known: list[Known]) -> None:
    first, again, other = (nets.state_bytes(train_weights(job(seed=s))[0]) for s in (0, 0, 1))
    assert first == again != other


def test_the_log_has_every_error_of_the_first_phase_and_every_iteration(known: list[Known]) -> None:
    made = job(threshold=0.0)
    _, rows = train_weights(made)
    names = [name for _, name, _ in rows]
    assert names.count("point_error") == found(train_weights(job(threshold=0.0))[0])["found"][1]
    for name in ("easiest", "width", "moved", "size"):
        assert names.count(name) == 8


def test_constants_are_those_of_the_release() -> None:
    """utils_PoseExaminer and tools/train_advTesting.py of qihao067/PoseExaminer; lengths in mm of 90 are 0.1 torsos."""
    params = defaults(registry.find("trainers", "examiner"))
    same = {"points": 300, "iterations": 300, "redraw": 3, "faces": 5, "poses": 10, "half": 0.03}
    assert {name: params[name] for name in same} == same
    assert params["samples"] == 200
    assert params["searcher"] == "reinforce"
    assert params["slow"] / params["threshold"] == pytest.approx(95 / 90, abs=0.01)
    assert params["fast"] / params["threshold"] == pytest.approx(120 / 90, abs=0.05)
    width = _pose_search.growth(params).width
    assert (width.narrow, width.wide) == (0.005, 0.05)
    assert _pose_search.AT_LEAST == 20
    assert params["recent"] == 10


def test_the_tested_model_is_asked_as_the_benchmark_asks_it(tmp_path: Path) -> None:
    """Errors are those of the records, of a net that knows nothing: far, and one torso at most."""
    torch.manual_seed(0)
    net = heatmap_net.build({**defaults(heatmap_net), "width": 4}, 17)
    weights = training_jobs.write(tmp_path / "w.safetensors", net.state_dict(), COCO_17)
    made = training_jobs.job(
        "heatmap_net",
        "examiner",
        inputs={refs.checkpoint("tiny", "heatmap_net", "poses", 0): weights},
        model_params={"width": 4},
        **BRIEF,
    )
    object.__setattr__(made, "classes", COCO_17)
    model = _pose_search.Tested(made)
    words = RandomStream(0, "a", "b", "c")
    errors = model.errors(np.array([_examined.from_prior(words) for _ in range(3)]))
    assert ((errors > 0.1) & (errors <= 1)).all()
    assert len(set(errors)) == 3
    assert model.missed == 0


def test_a_model_without_a_trainer_that_is_tested_is_refused() -> None:
    params = {**defaults(registry.find("trainers", "examiner")), "dataset": "tiny", "model": "hmr"}
    with pytest.raises(ParamsError, match="tested names no trainer of 'hmr'; it has heatmap_net"):
        _pose_search.needs(params)


def test_the_net_says_what_sizes_it_takes() -> None:
    net = heatmap_net.build({**defaults(heatmap_net), "width": 4, "height_px": 64, "width_px": 48}, 17)
    maps = net.heatmaps(torch.zeros(2, 3, 64, 48, dtype=torch.uint8))
    assert tuple(maps.shape) == (2, 17, *net.heat) == (2, 17, 16, 12)
    with pytest.raises(ParamsError, match="expected multiples of 16"):
        heatmap_net.build({**defaults(heatmap_net), "width_px": 72}, 17)


def test_the_prior_is_that_of_plausible_poses() -> None:
    """Mean and covariance are those of drawn poses, as far as 800 tell; axes are at right angles."""
    drawn = [_bodies.drawn(RandomStream(0, "a", "b", str(i)), 0.5, 0, 0) for i in range(800)]
    poses = np.array([[one.angles[name] for name in _bodies.ANGLES] for one in drawn])
    mean, axes = (values / _examined.DEGREE for values in _examined.prior())
    spread = poses.std(axis=0)
    assert (np.abs(mean - poses.mean(axis=0)) < 4 * spread / np.sqrt(800)).all()
    apart = (axes.T @ axes - np.cov(poses.T)) / np.outer(spread, spread)
    assert np.abs(apart).max() < 0.2
    lengths = np.linalg.norm(axes, axis=1)
    np.testing.assert_allclose(axes @ axes.T / np.outer(lengths, lengths), np.eye(16), atol=1e-3)


def test_a_pose_within_the_limits_has_the_latent_that_it_came_from() -> None:
    words = RandomStream(0, "latent", "test", "a")
    for _ in range(20):
        latent = 0.3 * words.normal(16).astype(np.float64)
        pose = _examined.decode(latent)
        inside = ((pose > _examined.LOW) & (pose < _examined.HIGH)).all()
        if inside:
            np.testing.assert_allclose(_examined.encode(pose[None])[0], latent, atol=1e-6)
            assert _examined.plausible(pose[None]).all()
    extreme = _examined.prior()[0] + _examined.prior()[1][[0, 1, 2]].sum(axis=0) * 3
    assert not _examined.plausible(extreme[None]).any()


def test_poses_of_the_prior_keep_the_limits_of_bodies() -> None:
    words = RandomStream(0, "prior", "test", "a")
    drawn = np.array([_examined.from_prior(words) for _ in range(50)])
    assert ((drawn >= _examined.LOW) & (drawn <= _examined.HIGH)).all()
    assert np.unique(drawn, axis=0).shape == drawn.shape
    for pose in (*drawn, _examined.LOW, _examined.HIGH):
        _examined.body(pose).check()  # refuses a body that is bent too far


def test_the_same_pose_gives_the_same_picture_on_white() -> None:
    pose = _examined.decode(np.zeros(16))
    one, other = (_examined.plain("a", pose, (96, 72), 0.85).fields for _ in range(2))
    assert one["poses"] == other["poses"]
    np.testing.assert_array_equal(one["image"], other["image"])
    assert (one["image"][0] == 255).all()


def test_arms_of_fine_tuning_differ_in_the_poses_alone() -> None:
    for scale in ("smoke", "embedded"):
        params = cards.load("pose-examiner").params[scale]
        own, control = params["trainers"]["failures"], params["trainers"]["random_poses"]
        assert {**own, "extra": ""} == {**control, "extra": ""} == params["trainers"]["continued"]
        one, other = (params["datasets"][arm["extra"]] for arm in (own, control))
        assert {**one, "trainer": ""} == other
        assert round(own["batch_size"] * own["extra_share"]) == 1


def test_held_out_searchers_are_none_that_were_learnt_from() -> None:
    sets = cards.load("pose-examiner").params["embedded"]["datasets"]
    learnt, unseen = sets["failures_of_net"]["searchers"], sets["unseen_of_net"]["searchers"]
    assert not set(learnt) & set(unseen)
    assert sorted(learnt + unseen) == list(range(10))
