"""benchmarks/choices.py trains what a card says but for what a trial changes, and judges it on validation samples."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isolation import ROOT

FILE = ROOT / "benchmarks/choices.py"
spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
assert spec is not None
assert spec.loader is not None
choices = sys.modules[FILE.stem] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(choices)

CARD: dict[str, Any] = {
    "datasets": {"tasks": {"use": "sinusoid_tasks", "count": 12, "query": 20}},
    "models": {"maml_mlp": {}},
    "trainers": {"short": {"use": "maml_erm", "iterations": 3, "validate": 1}},
}


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., float]:
    trials = choices.Trials(CARD, Path("nowhere"), tmp_path)
    held = trials.samples("tasks", "val")
    assert {sample.key.split("/")[1] for sample in held} == {"val"}

    def risk(**changes: Any) -> float:
        found: dict[str, float] = trials.judged("tasks", "maml_mlp-short", ["risk"], changes)
        return found["risk"]

    return risk


def test_a_trial_is_judged_alike_each_time(judged: Callable[..., float]) -> None:
    assert judged() == judged()
    assert np.isfinite(judged())


@pytest.mark.parametrize("changes", [{"iterations": 40, "lr": 0.01}, {"width": 8}, {"data_query": 10}])
def test_options_of_trainer_net_and_data_are_those_of_the_trial(
    judged: Callable[..., float], changes: dict[str, Any]
) -> None:
    assert judged(**changes) != judged()


def test_trials_that_begin_alike_train_the_beginning_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials, trained = choices.Trials(CARD, Path("nowhere"), tmp_path), []
    monkeypatch.setattr(trials, "_trained", lambda *asked: ("net", trained.append(asked) or {}))
    for changes in ({"lr": 0.1}, {"lr": 0.1}, {"lr": 0.2}):
        trials._begun("tasks", "maml_mlp-short", changes)
    trials.data = {"query": 10}
    trials._begun("tasks", "maml_mlp-short", {"lr": 0.1})
    assert [changes["lr"] for _, _, changes in trained] == [0.1, 0.2, 0.1]


def test_a_trial_is_a_mapping_of_yaml_values() -> None:
    assert choices.told("lr=0.1,groups=[1, 2],use=erm") == {"lr": 0.1, "groups": [1, 2], "use": "erm"}
    assert choices.told("") == {}
