"""Models of the user's own in params: what is inferred, and what the plan refuses before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from makers import planned_benchmark
from shiftbench.base.errors import ParamsError

PATHS = {
    "onnx": "m.onnx",
    "predictions": "m.csv",
    "checkpoint": "m.safetensors",
    "torchscript": "m.pt",
    "torch_export": "m.pt2",
    "callable": "m.py:predict",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    planned_benchmark.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(home: Path, model: dict[str, Any], **weights: Any) -> Any:
    """Return the weights that params ask for with one model of the user's."""
    detects = model["use"] == "onnx_detection"
    own = {
        "models": {"theirs": model},
        "benchmarks__small__dataset": "photo_boxes" if detects else "shapes",
        "benchmarks__small__models": [{"architectures": ["theirs"], **weights}],
        "benchmarks__small__detectors": [] if detects else ["margin"],
    }
    return planned_benchmark.load(home, **own).benchmarks["small"].models[0]


@pytest.mark.parametrize("kind", PATHS)
def test_a_model_of_yours_is_one_line(home: Path, kind: str) -> None:
    """No trainer is to be named; a format that can run code says so, and waits to be trusted."""
    runs_code = kind in ("torchscript", "torch_export", "callable")
    model = {"use": kind, "path": PATHS[kind]}
    if runs_code:
        for trust in ({}, {"trust": False}):
            with pytest.raises(
                ParamsError, match=rf"models\.theirs\.trust: .*; set `trust: true` there if .*{PATHS[kind]}"
            ):
                asked(home, {**model, **trust})
        model["trust"] = True
    assert asked(home, model).trainers == ("given",)
    if kind != "checkpoint":
        with pytest.raises(
            ParamsError, match=rf"the trainer 'erm' trains torch models, and the model 'theirs' \({kind}\) is not one"
        ):
            asked(home, model, trainers=["erm"])


def test_what_is_no_file_of_yours_is_to_be_trained_by_a_trainer_that_is_named(home: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"no trainers are named, and the model 'theirs' needs training; .* `trainers: \[erm\]`"
    ):
        asked(home, {"use": "convnet"})
    with pytest.raises(
        ParamsError, match="takes a model from a file, and params have no path for 'theirs'; expected `models"
    ):
        asked(home, {"use": "convnet"}, trainers=["given"])
    assert asked(home, {"use": "convnet"}, trainers=["erm"]).trainers == ("erm",)


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "torch_export", "onnx_detection"])
def test_mean_and_std_are_one_number_for_each_channel(home: Path, kind: str) -> None:
    trust = {"trust": True} if kind.startswith("torch") else {}
    model = {"use": kind, "path": "m.pt", **trust}
    three = 3 if kind == "onnx_detection" else None  # which knows no other
    for channels in (1, 3):
        given = {} if three else {"channels": channels}
        expected = three or channels
        for mean in range(5):
            for std in range(5):
                own = {**model, **given, "mean": [0.5] * mean, "std": [0.5] * std}
                if mean == std == expected:
                    asked(home, own)
                    continue
                key = "mean" if mean != expected else "std"
                number = mean if key == "mean" else std
                with pytest.raises(
                    ParamsError, match=rf"theirs\.{key} has {number} numbers .*one for each of {expected} ch"
                ):
                    asked(home, own)
    with pytest.raises(ParamsError, match=r"theirs\.std = .*0.0.*expected numbers above 0"):
        asked(home, {**model, "std": [1.0, 0.0, 1.0]})
    if not three:
        with pytest.raises(ParamsError, match=r"theirs\.mean has 3 numbers"):  # those of ImageNet, by default
            asked(home, {**model, "channels": 1})
        with pytest.raises(ParamsError, match=r"theirs\.channels = 4: .*expected 1 or 3"):
            asked(home, {**model, "channels": 4})
