"""MPTS: what its trainers make and log, what analyses make of it, and tasks outside of the training range."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers.sinusoid_jobs import TRAINERS, job, net, tasks
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import schema, training_log
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.tasks import LabelSpace, few_shot_regression
from shiftbench.systems.mpts.analyses import released_returns, risk_surface, task_sampling
from shiftbench.systems.mpts.datasets import _sinusoids
from shiftbench.systems.mpts.models import _meta_net, maml_mlp
from shiftbench.systems.mpts.trainers import _meta
from shiftbench.workflow.stages.train import train_weights

# ------------------------------------------------------------------ training


@pytest.mark.parametrize("name", TRAINERS)
def test_the_same_job_gives_the_same_bytes_and_another_seed_another_net(name: str) -> None:
    (one, log), (again, _), (other, _) = (train_weights(job(name, seed)) for seed in (0, 0, 1))
    assert nets.state_bytes(one) == nets.state_bytes(again)
    assert nets.state_bytes(one) != nets.state_bytes(other)
    steps = {entry: [row[0] for row in log if row[1] == entry] for entry in {r[1] for r in log}}
    assert steps["val_risk"] == [3, 6]
    assert steps["task_evaluations"] == [6]
    assert ({"selected_correlation"} <= set(steps)) == (name == "maml_mpts")
    evaluations = {row[1]: row[2] for row in log}["task_evaluations"]
    assert evaluations == 6 * (32 if name == "maml_drm" else 16)
    shares = [row[2] for row in log if row[1].startswith("chosen/") and row[0] == 4]
    assert len(shares) == 25
    assert sum(shares) == pytest.approx(1)
    assert int(one["risk_model.updates"]) in ((3, 6) if name == "maml_mpts" else (0,))


def test_arms_begin_alike_and_end_apart() -> None:
    states = [train_weights(job(name, keep="last"))[0] for name in TRAINERS]
    for state in states:
        assert not torch.equal(state["layers.1.weight"], states[0]["layers.1.weight"]) or (state is states[0])
    starts = [_meta.fresh_model(job(name)).vector() for name in TRAINERS]
    assert all(torch.equal(starts[0], start) for start in starts)


def test_model_are_those_of_the_lowest_validation_risk() -> None:
    worse = {"lr": 0.05, "iterations": 12, "validate": 1}
    kept, log = train_weights(job("maml_erm", **worse))
    risks = [row[2] for row in log if row[1] == "val_risk"]
    theta = net()
    theta.load_state_dict(kept)
    points = [torch.from_numpy(_meta_net.stack(tasks(8, "val"), n)) for n in ("support", "query")]
    rows = _meta_net.adapt(theta, points[0], defaults(maml_mlp))
    risk = float(_meta_net.risks(theta, points[1], rows).mean())
    assert risk == pytest.approx(min(risks), rel=1e-5)
    assert min(risks) < risks[-1]
    last, _ = train_weights(job("maml_erm", keep="last", **worse))
    assert not torch.equal(last["layers.1.weight"], kept["layers.1.weight"])


def test_a_training_that_diverges_is_told() -> None:
    with pytest.raises(ModelError, match=r"maml_erm: the risk on val is .* lower `lr`"):
        train_weights(job("maml_erm", lr=1e4, validate=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations is 0; expected 1 at least"),
        ({"candidates": 8}, "8 candidates for a batch of 16; expected as many at least"),
        ({"keep": "beste"}, "keep = 'beste'; did you mean best"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        train_weights(job("maml_erm", **options))


def test_what_the_risk_model_learnt_is_told_in_the_unit_of_the_risk() -> None:
    state, _ = train_weights(job("maml_mpts", iterations=150, validate=150, every=150, risk_lr=0.005))
    theta, samples = net(), tasks(30)
    theta.load_state_dict(state)
    found = _meta_net.predicted_risks(theta.risk_model, samples, defaults(maml_mlp)).detach().numpy()
    amplitudes = np.array([one.fields["meta"]["identifier"][0] for one in samples])
    assert np.corrcoef(found, amplitudes)[0, 1] > 0.5
    nameless = [samples[0].with_field("meta", {}), samples[1]]
    told = _meta_net.predicted_risks(theta.risk_model, nameless, defaults(maml_mlp)).detach().numpy()
    assert np.isnan(told[0])
    assert told[1] == pytest.approx(found[1], rel=1e-5)


# ------------------------------------------------------------------ far tasks


def shifted(name: str, sample: Sample, severity: float) -> Sample:
    shift = registry.find("shifts", name)
    found: Sample = shift.apply(sample, severity, RandomStream(0, name, "d", "k"), **defaults(shift))
    return found


@pytest.mark.parametrize(
    ("name", "at", "low", "high"), [("sinusoid_amplitude", 0, 5, 7), ("sinusoid_phase", 1, math.pi, 1.5 * math.pi)]
)
def test_far_tasks_lie_outside_of_the_training_range(name: str, at: int, low: float, high: float) -> None:
    for sample in tasks(50):
        for severity in (1, 2.5, 5):
            far = shifted(name, sample, severity)
            amplitude, phase = far.fields["meta"]["identifier"]
            own, clean = (amplitude, phase)[at], sample.fields["meta"]["identifier"]
            assert low < own <= low + (high - low) * severity / 5
            assert (amplitude, phase)[1 - at] == clean[1 - at]
            for field in ("support", "query"):
                x, y = far.fields[field].astype(np.float64).T
                assert np.array_equal(x, sample.fields[field][:, 0])
                np.testing.assert_allclose(y, amplitude * np.sin(x + phase), atol=1e-6)


def test_what_is_no_sinusoid_is_refused() -> None:
    sample = tasks(1)[0]
    with pytest.raises(DataError, match="the identifier is .*; expected amplitude and phase"):
        shifted("sinusoid_phase", sample.with_field("meta", {"identifier": [1.0]}), 1)
    with pytest.raises(DataError, match="no field 'support'"):
        shifted("sinusoid_phase", Sample("k", {}), 1)
    with pytest.raises(RangeError, match="'sinusoid_amplitude': severity 6 lies outside"):
        shifted("sinusoid_amplitude", sample, 6)
    far = registry.find("shifts", "sinusoid_phase").facts
    with pytest.raises(ParamsError, match="'phse' is no number of a sinusoid; did you mean phase"):
        far({"of": "phse"})


# ------------------------------------------------------------------ analyses

NAME = "sinusoid_tasks/maml_mlp-maml_mpts-s0"
CONTEXT = {
    "distribution": "sinusoids",
    "dataset": "sinusoid_tasks",
    "split": "test",
    "checkpoints": [NAME],
    "methods": ["plain"],
}


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    """Weights of a short training, their log, and records of thirty test tasks with a foreseen risk."""
    state, log = train_weights(job("maml_mpts"))
    weights, records = tmp_path / "w.safetensors", tmp_path / "records.parquet"
    weights.write_bytes(nets.state_bytes(state, {}))
    schema.write(schema.training_log(log), training_log.log_path(weights), "f")
    samples, model = tasks(30), registry.find("models", "maml_mlp")
    theta = net()
    theta.load_state_dict(state)
    outputs = maml_mlp.predictor(theta, model, defaults(maml_mlp), "cpu", "float32")(samples)
    table = few_shot_regression.rows(samples, outputs, LabelSpace((), ()), "full")
    schema.write(table, records, "f")
    ref = Ref("records", f"{NAME}/plain/sinusoid_tasks/test/identity/0")
    assert set(risk_surface.needs(CONTEXT)) == {Ref("checkpoints", NAME), ref}
    assert task_sampling.needs(CONTEXT) == [Ref("checkpoints", NAME)]
    return Measurement(CONTEXT, {Ref("checkpoints", NAME): weights, ref: records}, 0, {})


def by_metric(found: list[Observation]) -> dict[str, list[Observation]]:
    return {metric: [o for o in found if o.metric == metric] for metric in {o.metric for o in found}}


def test_the_log_becomes_rows(measurement: Measurement) -> None:
    log = training_log.of(measurement.inputs[Ref("checkpoints", NAME)])
    found = by_metric(list(task_sampling.measure(measurement)))
    assert [one.value for one in found["task_evaluations"]] == [6 * 16]
    late = [(f"{step:09d}", value) for step, value in log["selected_correlation"] if step > 3]
    assert len(late) == 2
    assert [(one.key, one.value) for one in found["selected_correlation"]] == late
    assert {one.group for one in found["score_std"]} == {"selected_second_half"}


def test_the_surface_has_the_mean_risk_of_each_cell(measurement: Measurement) -> None:
    found = by_metric(list(risk_surface.measure(measurement)))
    records = measurement.records(next(ref for ref in measurement.inputs if ref.kind == "records"))
    for metric, column in risk_surface.COLUMNS.items():
        values = {row["key"]: row[column] / 1e9 for row in records.to_pylist()}
        assert {one.key: one.value for one in found[metric]} == values
    places = {one.key: (one.severity, one.group) for one in found["cell_risk"]}
    for sample in tasks(30):
        amplitude, phase = sample.fields["meta"]["identifier"]
        middle, group = places[sample.key]
        assert abs(amplitude - (middle or 0)) < 0.5
        ends = [float(word) for word in str(group).split() if word != "phase" and word != "to"]
        assert ends[0] - 0.01 <= phase <= ends[1] + 0.01
    chosen = found["cell_chosen"]
    assert len({(one.severity, one.group) for one in chosen}) == 25
    assert np.mean([one.value for one in chosen]) == pytest.approx(1)
    bounds = _sinusoids.BOUNDS
    assert risk_surface.cell_of([5.0, math.pi], bounds) == (4, 4)
    assert risk_surface.cell_of([0.1, 0.0], bounds) == (0, 0)


def lines(file: Path, **changes: Any) -> Measurement:
    """Write a file as MetaRL/meta_testing.py does: two environments, MPTS and uniform, two iterations, two seeds."""
    with file.open("w", newline="") as stream:
        for env in ("HalfCheetahVel-v0", "ReacherPos-v0"):
            for framework in (2, 4):
                for iteration in (500, 499):
                    base = 10.0 * framework + iteration / 1000
                    tails = [[base - 9, base - 8, base - 7, base - 6, base - 5, base - 4]] * 2
                    cells = {"env": env, "framework": framework, "iteration": iteration}
                    cells |= {"seeds": [10, 20], "means": [base, np.float32(base)]}
                    cells |= {"tails": tails, "worst": [base - 10, base - 10]}
                    csv.writer(stream).writerow(list({**cells, **changes}.values()))
    return Measurement({"path": str(file)}, {}, 0, {})


def test_returns_of_the_official_code_are_read(tmp_path: Path) -> None:
    found = by_metric(list(released_returns.measure(lines(tmp_path / "a.csv"))))
    assert set(found) == {"mean_return", "cvar90_return", "worst_return"}
    tails = {(one.model, one.key): one.value for one in found["cvar90_return"]}
    assert len(tails) == 2 * 2 * 2 * 2
    assert tails["reacher_pos/maml_policy-maml_trpo_mpts-s20", "000499"] == pytest.approx(32.499)
    assert tails["half_cheetah_vel/maml_policy-maml_trpo_erm-s10", "000500"] == pytest.approx(12.5)
    assert {one.dataset for one in found["mean_return"]} == {"half_cheetah_vel", "reacher_pos"}
    assert released_returns.needs({}) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "Hopper"}, "line 1: .*'Hopper'.* expected an environment"),
        ({"framework": 5}, "a framework 1 to 4"),
        ({"seeds": [10]}, "1 seeds and other numbers of returns"),
        ({"means": "many"}, "'many' is no list of numbers"),
        ({"tails": [[1.0], [2.0]]}, "1 levels of CVaR"),
    ],
)
def test_other_lines_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(released_returns.measure(lines(tmp_path / "a.csv", **changes)))
    with pytest.raises(DataError, match="b.csv does not exist; bring what"):
        list(released_returns.measure(Measurement({"path": str(tmp_path / "b.csv")}, {}, 0, {})))
