"""Calibration: known curves are recovered, words are the shift stage's, and what cannot be is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from makers import planned_benchmark
from makers.command_line import ends, run, said
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.statistics.severity_fit import Curve, _rising
from shiftbench.workflow.plan import plan
from shiftbench.workflow.stages import evaluate
from shiftbench.workflow.tools import calibrate as calibration
from shiftbench.workflow.tools.calibrate import calibrate

CLASSES = tuple("abcdefghij")
FIELDS = {"image": "png", "label": "cls"}


# ------------------------------------------------------------------------ the curve by itself


def judged(right: np.ndarray, counts: np.ndarray | None = None) -> pa.Table:
    keys = [f"k/{number:05d}" for number in range(len(right))]
    answers = pa.array(right, mask=None if counts is None else ~counts)
    return pa.table({"key": keys, "cluster": pa.nulls(len(keys), pa.string()), "correct": answers})


def failing_at(thresholds: np.ndarray, draws: int = 100) -> Curve:
    """Return the curve of samples each of which fails from its own severity on."""
    return Curve(lambda severity: judged(thresholds > severity), 5.0, draws, 0)


def test_fit_of_falls_by_hand() -> None:
    # Falls of 10, 5 and 30 points at 1, 2 and 3: the first two become 7.5; 15 lies a third of the way to 30.
    shares = {0.0: 100, 1.0: 90, 2.0: 95, 3.0: 70}
    curve = Curve(lambda s: judged(np.arange(100) < shares[s]), 3.0, 0, 0)
    for severity in (1.0, 2.0, 3.0):
        curve.measure(severity)
    assert curve.invert(0.15) == pytest.approx([2 + 1 / 3])
    assert curve.invert(0.05) == pytest.approx([2 / 3])  # from 0 to 7.5 points at severity 1
    assert curve.invert(0.31) == [np.inf]


def test_fit_starts_at_nothing_and_leaves_what_is_not_defined() -> None:
    falls = np.array([[0, np.nan], [-0.2, 0.1], [0.1, 0.2]])
    assert _rising(falls)[:, 0].tolist() == [0, 0, 0.1]
    assert np.isnan(_rising(falls)[:, 1]).any()


def test_samples_that_do_not_count_are_left_out() -> None:
    counts = np.arange(200) % 2 == 0
    curve = Curve(lambda s: judged(np.arange(200) / 40 > s, counts), 5.0, 10, 0)
    whole = Curve(lambda s: judged(np.arange(0, 200, 2) / 40 > s), 5.0, 10, 0)
    assert (curve.n, whole.n) == (100, 100)
    assert curve.measure(2.5)[0] == whole.measure(2.5)[0]
    with pytest.raises(DataError, match="no sample has a label among the model's classes"):
        Curve(lambda _: judged(np.ones(3, bool), np.zeros(3, bool)), 5.0, 10, 0)


def test_crossing_is_the_quantile_of_failures() -> None:
    thresholds = 5 * np.random.default_rng(0).beta(2, 3, 1000)
    for drop in (0.05, 0.3, 0.8):
        found = failing_at(thresholds).locate(drop)
        exact = np.quantile(thresholds, drop)
        assert found[0] == pytest.approx(exact, abs=0.03)


def test_interval_covers_the_known_severity() -> None:
    # Failures are uniform up to severity 5, a tenth is wrong from the start: 20 points fall at 5 x 0.2 / 0.9.
    true, inside, widths = 5 * 0.2 / 0.9, 0, []
    for trial in range(60):
        random = np.random.default_rng(trial)
        thresholds = np.where(random.random(300) < 0.1, 0, random.uniform(0, 5, 300))
        found = failing_at(thresholds).locate(0.2)
        low, high = calibration._interval(found)
        assert low is not None
        assert high is not None
        inside += low <= true <= high
        widths.append(high - low)
    assert inside >= 52  # of 60; 95% of them are 57
    # The binomial standard error of a fall of 0.2, by the slope of 0.18 per severity, 3.92 times
    assert np.mean(widths) == pytest.approx(3.92 * np.sqrt(0.2 * 0.8 / 300) / 0.18, rel=0.15)


def test_what_was_measured_serves_every_fall() -> None:
    asked: list[float] = []

    def judge(severity: float) -> pa.Table:
        asked.append(severity)
        return judged(np.linspace(0.01, 5, 400) > severity)

    curve = Curve(judge, 5.0, 100, 0)
    alone = len(asked)
    for drop in (0.2, 0.21, 0.2):
        curve.locate(drop)
    assert len(asked) == len(set(asked))
    assert len(asked) - alone < 16


# ------------------------------------------------------------- a known model on a known shift


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository, entered; its shift `bright` adds 25 grey levels per severity."""
    planned_benchmark.make(tmp_path)
    planned_benchmark.load(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan._code.cache_clear()
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clean shards of 400 flat images, grey levels 0 to 199."""
    samples = [
        Sample(f"flat/test/{i:03d}", {"image": np.full((4, 4), i // 2, np.uint8), "label": i % 10}) for i in range(400)
    ]
    return written(tmp_path / "flat", samples)


def written(folder: Path, samples: list[Sample], **facts: Any) -> Path:
    about = {"dataset": "flat", "split": "test", "shift": "identity", "severity": 0.0}
    about |= {"task": "classification", "classes": list(CLASSES)} | facts
    folder.mkdir()
    shards.write(samples, folder, FIELDS | {"text": "txt"}, about, 10_000_000)
    return folder


def below(limit: float) -> Callable[[list[Sample]], np.ndarray]:
    """Return a model that is right on images darker than `limit`."""

    def logits(samples: list[Sample]) -> np.ndarray:
        means = np.array([sample.fields["image"].mean() for sample in samples])
        labels = np.array([sample.fields["label"] for sample in samples])
        return np.eye(10)[np.where(means < limit, labels, (labels + 1) % 10)]

    return logits


def test_known_curve_is_recovered(home: Path, folder: Path) -> None:
    # All are right; at severity s those fail that were 200 - 25 s or brighter: a fall of s / 8.
    found = calibrate(below(200), folder, "bright", [50, 10], options={"spread": 0.0})
    assert [one.drop for one in found] == [10, 50]
    for one in found:
        low, high = one.severity_ci
        assert one.severity == pytest.approx(8 * one.drop / 100, abs=0.05)
        assert low < 8 * one.drop / 100 < high
        assert one.fall == pytest.approx(one.drop, abs=0.5)
        assert one.fall_ci[0] < one.drop < one.fall_ci[1]
        assert (one.clean, one.n, one.options) == (1.0, 400, {"spread": 0.0})
        for severity, accuracy in one.measured:
            assert accuracy == pytest.approx(1 - round(25 * severity) / 200, abs=0.01)


def test_some_samples_are_enough_and_always_the_same(home: Path, folder: Path) -> None:
    few = [calibrate(below(200), folder, "bright", 10, samples=150, draws=50) for _ in range(2)]
    assert few[0] == few[1]
    assert few[0][0].n == 150
    assert few[0][0].severity == pytest.approx(0.8, abs=0.25)


def test_fall_that_is_not_reached_is_told_with_what_is(home: Path, folder: Path) -> None:
    (one,) = calibrate(below(200), folder, "bright", 80, options={"spread": 0.0})
    assert one.severity is None
    assert one.severity_ci == (None, None)
    assert one.fall == pytest.approx(62.5, abs=0.5)  # at severity 5
    assert one.fall_ci[0] < 62.5 < one.fall_ci[1]


def test_fall_that_is_reached_in_some_draws_has_a_lower_end(home: Path, folder: Path) -> None:
    (one,) = calibrate(below(200), folder, "bright", 63, options={"spread": 0.0})
    assert one.severity is None
    assert one.severity_ci[0] == pytest.approx(4.8, abs=0.2)
    assert one.severity_ci[1] is None


def test_texts_are_calibrated_too(tmp_path: Path) -> None:
    text = "the quick brown fox jumps over the lazy dog while it rains again and again outside"
    samples = [Sample(f"words/test/{i:03d}", {"text": text, "label": i % 10}) for i in range(100)]
    clean = written(tmp_path / "words", samples, dataset="words", task="text_classification")

    def reads(samples: list[Sample]) -> np.ndarray:  # right where a random word, its own, is whole
        labels = np.array([sample.fields["label"] for sample in samples])
        whole = [text.split()[int(s.key[-3:]) % 16] in s.fields["text"].split() for s in samples]
        return np.eye(10)[np.where(whole, labels, (labels + 1) % 10)]

    (one,) = calibrate(reads, clean, "keyboard_typos", 20)
    assert one.severity_ci[0] < one.severity < one.severity_ci[1]
    assert one.fall == pytest.approx(20, abs=2)


# --------------------------------------------------------------------------------- refusals


def test_what_cannot_be_calibrated_is_refused(home: Path, folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"too weak for a drop of 20 points: it gets 25\.0% .*"
                       r"guessing among 10 classes 10\.0%; ask for less than 15\.0"):  # fmt: skip
        calibrate(below(50), folder, "bright", [5, 20])
    with pytest.raises(ParamsError, match="'mnist_to_digits' is a domain shift"):
        calibrate(below(200), folder, "mnist_to_digits")
    with pytest.raises(ParamsError, match="'identity' has no severity above 0"):
        calibrate(below(200), folder, "identity")
    for drop in (0, -1, 100, float("nan")):
        with pytest.raises(ParamsError, match="expected percentage points between 0 and 100"):
            calibrate(below(200), folder, "bright", drop)
    with pytest.raises(ParamsError, match="no drop is given"):
        calibrate(below(200), folder, "bright", [])
    with pytest.raises(ParamsError, match=r"no option 'spred' \(did you mean spread\?\)"):
        calibrate(below(200), folder, "bright", options={"spred": 0})


def test_shifted_shards_are_refused(tmp_path: Path) -> None:
    sample = Sample("flat/test/0", {"image": np.zeros((2, 2), np.uint8), "label": 0})
    shifted = written(tmp_path / "fog", [sample], shift="fog", severity=3.0)
    with pytest.raises(DataError, match=r"has shifted samples \(fog\)"):
        calibrate(below(200), shifted, "fog")


def test_empty_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="flat/test has no samples"):
        calibrate(below(200), written(tmp_path / "none", []), "fog")


# -------------------------------------------------------------------------- weights of a run


LEARNT: dict[str, Any] = {"datasets__shapes": {"count": 400}, "trainers__mixup": {"epochs": 12}}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's repository with shards and weights that a run made; to be read alone."""
    folder = tmp_path_factory.mktemp("learnt")
    planned_benchmark.make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        planned = planned_benchmark.plan(folder, **LEARNT)
        planned.write(folder)
        for verb in ("shift", "train"):
            for job in sorted(planned.of_verb(verb), key=lambda job: "identity" not in job.name):
                said(verb, "--recipe", str(folder / job.recipe_path))
    return folder


@pytest.fixture
def trained(learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that repository, entered."""
    shutil.copytree(learnt, tmp_path, dirs_exist_ok=True)
    planned_benchmark.load(tmp_path, **LEARNT)
    monkeypatch.chdir(tmp_path)
    plan._code.cache_clear()
    return tmp_path


ASK = "calibrate bright --model shapes/perceptron-mixup-s0 --split test".split()


def test_words_are_those_of_the_shift_stage(trained: Path) -> None:
    folder = trained / "data/shards/shapes/test"
    bright = registry.find("shifts", "bright")
    shifter = Shifter(bright, "bright", defaults(bright), 2.5, 0, "shapes")

    def dark(samples: list[Sample]) -> dict[str, np.ndarray]:
        means = [sample.fields["image"].mean() for sample in samples]
        return {"logits": np.array([[100 - mean, mean - 110, 0] for mean in means])}

    clean = calibration.read(folder / "identity/0")
    ours = calibration.Judge(dark, clean, clean.classes)(shifter)
    stored, _, _ = evaluate.evaluate_shards(dark, folder / "bright/2.5", list(clean.classes), 256)
    assert ours["correct"].to_pylist() == stored["correct"].to_pylist()
    assert ours["key"].to_pylist() == stored["key"].to_pylist()


def test_command_tells_people_and_programs(trained: Path) -> None:
    asked = (*ASK, "--drop", "5", "--drop", "10")
    told = said(*asked, "--json", "found.json")
    assert "shapes/perceptron-mixup-s0 on shapes/test" in told
    found = json.loads((trained / "found.json").read_text())
    assert found == json.loads(said(*asked, "--json", "-"))
    assert (found["model"], found["dataset"], found["seed"]) == (ASK[3], "shapes", 0)
    assert [one["drop"] for one in found["found"]] == [5.0, 10.0]
    severities = [one["severity"] for one in found["found"]]
    assert f"shifts:\n  bright: {{severities: {severities}}}" in told


def test_options_come_from_params(trained: Path) -> None:
    planned_benchmark.load(trained, **LEARNT, shifts__bright={"severities": [1], "spread": 0.1},
                  shifts__dim={"use": "bright"})  # fmt: skip
    found = json.loads(said("calibrate", "bright", "dim", *ASK[2:], "--drop", "5", "--json", "-"))
    assert [one["options"] for one in found["found"]] == [{"spread": 0.1}, {}]


def test_published_levels_that_do_not_grow_are_left_for_continuous_ones(trained: Path) -> None:
    source = registry.file("shifts", "bright").read_text()
    source = source.replace("spread: Spread = 0.2", "spread: Spread = 0.2, profile: str = 'published'")
    planned_benchmark.add(trained, "shifts", "stepped", f"{source}\nCONTINUOUS = {{'profile': 'continuous'}}\n")
    told = run("calibrate", "stepped", *ASK[2:], "--drop", "5")
    assert (
        "stepped: damage does not grow with its published levels; calibrated with {profile: continuous}" in told.output
    )
    one = json.loads(run("calibrate", "stepped", *ASK[2:], "--drop", "5", "--json", "-").stdout)
    assert one["found"][0]["options"] == {"profile": "continuous"}


def test_parts_of_a_composed_shift_become_continuous() -> None:
    module: Any = SimpleNamespace(CONTINUOUS={"snow": {"profile": "continuous"}})
    shifter = Shifter(module, "fog+snow", {"fog": {}, "snow": {"depth": 2}}, 0.0, 0, "d")
    options = calibration.continuous(shifter).options
    assert options == {"fog": {}, "snow": {"depth": 2, "profile": "continuous"}}


def test_command_tells_what_is_missing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "calibrate", "bright", "--model", "shapes/perceptron-mixup-s7") == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "no model 'shapes/perceptron-mixup-s7'" in told
    assert "did you mean shapes/perceptron-mixup-s1" in told
    assert ends(monkeypatch, *ASK, "--dataset", "fashion_mnist") == 3
    assert "no clean samples in" in " ".join(capsys.readouterr().err.split())
    assert ends(monkeypatch, "calibrate", "brigth", *ASK[2:]) == 2
    assert "did you mean bright" in " ".join(capsys.readouterr().err.split())
