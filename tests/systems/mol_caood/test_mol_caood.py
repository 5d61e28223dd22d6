"""MOL for CAOOD, a reconstruction: meta-gradients, adaptation, the searched rate and the stream, by their equations."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from makers.repositories import HOME
from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement, TrainJob
from shiftbench.plugins.methods import _adapting, tent
from shiftbench.plugins.models import convnet
from shiftbench.plugins.shifts.geometry import rotate_degrees
from shiftbench.plugins.streams._steps import check
from shiftbench.plugins.trainers import _outliers
from shiftbench.systems.mol_caood.analyses import adaptation_rates
from shiftbench.systems.mol_caood.methods import few_shot
from shiftbench.systems.mol_caood.streams import few_shot_drift
from shiftbench.systems.mol_caood.trainers import _drift, mol_r, oe_shifted, searched_rates
from shiftbench.workflow.plan import configurations, detector_plan

ETA = 0.1
GROUP = {**defaults(convnet), "norm": "group", "width": 4, "features": 8}

# ---------------------------------------------------------------------- meta-gradients


def regression(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return (
        torch.randn(12, 3, generator=random, dtype=torch.float64),
        torch.randn(12, generator=random, dtype=torch.float64),
    )


def squares(x: torch.Tensor, y: torch.Tensor) -> mol_r.Loss:
    return lambda weights: ((x @ weights["w"] - y) ** 2).mean()


def meta(theta: torch.Tensor, *, second: bool) -> torch.Tensor:
    """The outer gradient at theta after two inner steps."""
    inner, outer = squares(*regression(0)), squares(*regression(1))
    leaf = theta.clone().requires_grad_()
    fast = mol_r.adapt({"w": leaf}, inner, 2, ETA, second=second)
    return torch.autograd.grad(outer(fast), leaf)[0]


def descended(theta: torch.Tensor) -> torch.Tensor:
    """Two steps by the gradient of a mean of squares, written out."""
    x, y = regression(0)
    for _ in range(2):
        theta = theta - ETA * 2 * x.T @ (x @ theta - y) / len(y)
    return theta


THETA = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64)


def test_the_second_order_gradient_is_the_numerical_one() -> None:
    outer = squares(*regression(1))
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    numerical = [(outer({"w": descended(THETA + e)}) - outer({"w": descended(THETA - e)})) / 2e-6 for e in step]
    assert torch.allclose(meta(THETA, second=True), torch.stack(numerical), rtol=1e-4, atol=1e-6)


def test_the_first_order_gradient_is_the_one_at_the_adapted_point() -> None:
    x, y = regression(1)
    at = descended(THETA)
    assert torch.allclose(meta(THETA, second=False), 2 * x.T @ (x @ at - y) / len(y))
    assert not torch.allclose(meta(THETA, second=False), meta(THETA, second=True), rtol=0.01)


# ---------------------------------------------------------------------- the trainers


def job(trainer: str, tmp_path: Path, **options: Any) -> TrainJob:
    """A tiny training with outliers, on a net with group normalisation."""
    noise = np.random.default_rng(5).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    folder = tmp_path / "outliers"
    if not folder.exists():
        folder.mkdir()
        samples = [Sample(f"noise/train/{i:02d}", {"image": n, "label": 0}) for i, n in enumerate(noise)]
        about = {"dataset": "noise", "split": "train", "task": "classification", "classes": ["noise"]}
        shards.write(samples, folder, {"image": "png", "label": "cls"}, about, 10**7)
    module = registry.find("trainers", trainer)
    made = training_jobs.job("convnet", trainer, **{"epochs": 1, "outliers": "noise", **options})
    return TrainJob(
        **{
            **{name: getattr(made, name) for name in made.__dataclass_fields__},
            "params": {**defaults(module), **made.params},
            "model_params": GROUP,
            "inputs": {Ref("shards", "noise/train/identity/0"): folder / "manifest.json"},
        }
    )


def batch_of(task: mol_r.Task, count: int = 6) -> tuple[np.ndarray, torch.Tensor]:
    return task._inputs[:count], task._labels[:count]


def ce_oe(net: nn.Module, known: np.ndarray, labels: torch.Tensor, unknown: np.ndarray) -> torch.Tensor:
    """CE + 0.5 x cross-entropy to uniform."""
    f, g = net(torch.from_numpy(known)), net(torch.from_numpy(unknown))
    return F.cross_entropy(f, labels) - 0.5 * g.log_softmax(1).mean(1).mean()


def net_of(made: TrainJob) -> nn.Module:
    torch.manual_seed(0)
    return convnet.build(made.model_params, len(made.classes))


def test_without_inner_steps_and_without_a_drift_it_is_ce_and_oe(tmp_path: Path) -> None:
    made = job("mol_r", tmp_path, inner_steps=0, low=0.0, high=0.0)
    task, net = mol_r.Task(made), net_of(made)
    batch, labels = batch_of(task)
    rng = RandomStream(0, "a", "b", "c")
    found = task(net, batch, labels, rng)
    again = RandomStream(0, "a", "b", "c")
    task._drift.draw(again, 1), again.choice(len(task._labels), made.params["support"])
    unknown = task._outliers.draw(again, len(batch))
    assert torch.allclose(found, ce_oe(net, batch, labels, unknown))


@pytest.mark.parametrize("strengths", [1, 3])
def test_a_task_adapts_along_rising_strengths_and_adds_up_the_queries(tmp_path: Path, strengths: int) -> None:
    made = job("mol_r", tmp_path, strengths=strengths, support=5)
    task, net = mol_r.Task(made), net_of(made)
    batch, labels = batch_of(task)
    found = task(net, batch, labels, RandomStream(0, "a", "b", "c"))
    own, words, total = net_of(made), RandomStream(0, "a", "b", "c"), 0.0
    drawn = task._drift.draw(words, strengths)
    assert drawn == sorted(drawn)
    for strength in drawn:
        rows = words.choice(len(task._labels), 5)
        both = []
        for part, count in ((task._inputs[rows], 5), (batch, len(batch))):
            unknown = task._outliers.draw(words, count)
            words.integers(0, 1 << 30)
            both.append([task._drift.at(one, strength) for one in (part, unknown)])
        for _ in range(2):
            own.zero_grad()
            ce_oe(own, both[0][0], task._labels[rows], both[0][1]).backward()
            with torch.no_grad():
                for weight in own.parameters():
                    weight.sub_(0.05 * weight.grad)
        total += float(ce_oe(own, both[1][0], labels, both[1][1]).detach())
    assert float(found.detach()) == pytest.approx(total, rel=1e-4)


def test_the_energy_hinge_is_another_regulariser(tmp_path: Path) -> None:
    task = mol_r.Task(job("mol_r", tmp_path, regulariser="energy", weight=0.1))
    logits, told = torch.randn(4, 4), torch.tensor([1, 0, -1, -1])
    energy = -logits.logsumexp(1)
    hinge = torch.relu(energy[:2] + 5).square().mean() + torch.relu(-1 - energy[2:]).square().mean()
    expected = F.cross_entropy(logits[:2], told[:2]) + 0.1 * hinge
    assert torch.allclose(task._total(logits, told), expected)


def test_batch_normalisation_is_refused(tmp_path: Path) -> None:
    made = job("mol_r", tmp_path)
    changed = {name: getattr(made, name) for name in made.__dataclass_fields__}
    with pytest.raises(ParamsError, match="choose a model with `norm: group`"):
        mol_r.train(TrainJob(**{**changed, "model_params": defaults(convnet)}))


def test_strengths_are_those_of_the_family(tmp_path: Path) -> None:
    drift = _drift.Drift.of(job("mol_r", tmp_path, low=20.0, high=45.0))
    drawn = drift.draw(RandomStream(0, "a", "b", "c"), 500)
    assert (20 < min(drawn) < 21, 44 < max(drawn) < 45) == (True, True)
    with pytest.raises(ParamsError, match="the drift goes from 90 to 20; rotate_degrees allows"):
        _drift.Drift.of(job("mol_r", tmp_path, low=90.0, high=20.0))


def test_every_angle_goes_through_one_resampler() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    rng = RandomStream(0, "a", "b", "c")
    assert np.array_equal(rotate_degrees.apply(image, 0.0, rng), image)
    assert np.array_equal(rotate_degrees.apply(image, 90.0, rng), np.rot90(image))
    assert np.array_equal(rotate_degrees.apply(image, 180.0, rng), image[::-1, ::-1])


# ---------------------------------------------------------------------- the rate


def test_the_rate_is_the_best_of_the_logged_curve_and_shown_samples_are_not_predicted(tmp_path: Path) -> None:
    made = job("oe_shifted", tmp_path, shots=1, search_strengths=2, rates=[0.001, 0.1], search=[0, 45])
    state = oe_shifted.train(made)
    log: dict[str, list[float]] = {}
    for _, name, value in made.rows:
        log.setdefault(name, []).append(value)
    for name in ("few_shot", "tent"):
        assert log[f"{name}_rates"] == [0.001, 0.1]
        best = int(np.argmax(log[f"{name}_accuracy"]))
        assert log[f"{name}_rate"] == [log[f"{name}_rates"][best]]
    outliers = _outliers.load(made)
    place = _drift.Validation.of(made, _drift.Drift.of(made), outliers)
    assert place.strengths == (0.0, 45.0)
    known = [images[told >= 0] for images, told in place.support]
    shown = {image.tobytes() for images in known for image in images}
    assert shown.isdisjoint({image.tobytes() for image in place.inputs})
    assert [len(images) for images in known] == [len(made.classes)] * 2
    before = {name: value.clone() for name, value in state.items()}
    net = net_of(made)
    net.load_state_dict(state)
    _drift.search(made, net, outliers)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_rate_is_read_beside_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    rows = [(0, "few_shot_rate", 0.02), (0, "loss", 1.0)]
    schema.write(schema.training_log(rows), tmp_path / "w.safetensors.log.parquet", "f")
    inputs = {Ref("checkpoints", "d/w"): weights}
    assert _adapting.rate_of(None, inputs, "few_shot") == 0.02
    assert _adapting.rate_of(0.5, {}, "few_shot") == 0.5
    with pytest.raises(ParamsError, match="logged no tent_rate; give a rate, or train with one"):
        _adapting.rate_of(None, inputs, "tent")


def test_the_curve_and_the_rate_are_shown(tmp_path: Path) -> None:
    rows = [(0, "few_shot_rates", 0.1), (0, "few_shot_accuracy", 0.5), (0, "few_shot_rate", 0.1)]
    schema.write(schema.training_log(rows), tmp_path / "w.safetensors.log.parquet", "f")
    inputs = {Ref("checkpoints", "d/w-s0"): tmp_path / "w.safetensors"}
    params = {**defaults(adaptation_rates), "checkpoints": ["d/w-s0"], "dataset": "d"}
    found = list(adaptation_rates.measure(Measurement(params, inputs, 0, {})))
    assert [(one.metric, one.value, one.severity, one.method) for one in found] == [
        ("search_accuracy", 0.5, 0.1, "few_shot"),
        ("searched_rate", 0.1, None, "few_shot"),
    ]


def test_another_family_has_rates_of_its_own_for_the_same_weights(tmp_path: Path) -> None:
    state = oe_shifted.train(job("oe_shifted", tmp_path, shots=1, search_strengths=1))
    start = training_jobs.write(tmp_path / "start.safetensors", state)
    options = {"shots": 1, "search_strengths": 2, "search": [0, 45], "rates": [0.001, 0.1]}
    made = job("searched_rates", tmp_path, **options)
    context = {**made.params, "dataset": "tiny", "model": "convnet", "seed": 7}
    named, *_ = searched_rates.needs(context)
    assert named.name == "tiny/convnet-oe_shifted-s7"
    inputs = {**made.inputs, named: start}
    changed = {name: getattr(made, name) for name in made.__dataclass_fields__}
    made = TrainJob(**{**changed, "inputs": inputs})
    again = searched_rates.train(made)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    rates = [value for _, name, value in made.rows if name == "few_shot_rates"]
    assert rates == [0.001, 0.1]
    assert next(value for _, name, value in made.rows if name == "few_shot_rate") in rates


# ---------------------------------------------------------------------- the methods


def predictor() -> nets.TorchPredictor:
    torch.manual_seed(1)
    return nets.TorchPredictor(convnet.build(GROUP, 3), convnet, GROUP, "cpu")


def samples(count: int, seed: int, outliers: int = 0) -> list[Sample]:
    images = np.random.default_rng(seed).integers(0, 256, (count, 28, 28)).astype(np.uint8)
    labels = [-1 if i < outliers else i % 3 for i in range(count)]
    return [
        Sample(f"a/test/{i}", {"image": image, "label": label})
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def weights_of(method: _adapting.Adapting) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in method.net.parameters()])


def adapter(**options: Any) -> few_shot.FewShot:
    return few_shot.wrap(predictor(), {**defaults(few_shot), "rate": 0.1, **options}, {})


def test_a_step_follows_the_gradient_of_ce_and_outlier_exposure() -> None:
    method, shown = adapter(steps=1), samples(8, 0, outliers=3)
    own = predictor().net
    inputs = method.prepare(shown)
    labels = torch.tensor([s.fields["label"] for s in shown[3:]])
    ce_oe(own, inputs[3:], labels, inputs[:3]).backward()
    expected = torch.cat([(w - 0.1 * w.grad).detach().flatten() for w in own.parameters()])
    method.adapt(shown)
    assert torch.allclose(weights_of(method), expected, atol=1e-6)
    method.reset()
    assert torch.equal(weights_of(method), weights_of(adapter()))


def test_continual_goes_on_and_reset_begins_anew() -> None:
    first, second = samples(6, 0), samples(6, 1)
    found = {}
    for mode in few_shot.MODES:
        method, alone = adapter(mode=mode), adapter(mode=mode)
        method.adapt(first)
        method.adapt(second)
        alone.adapt(second)
        found[mode] = torch.equal(weights_of(method), weights_of(alone))
    assert found == {"continual": False, "reset": True}
    with pytest.raises(ParamsError, match="mode is 'reste'; did you mean reset"):
        adapter(mode="reste")


def test_with_no_step_both_modes_are_no_adaptation() -> None:
    tested = samples(5, 2)
    for mode in few_shot.MODES:
        method = adapter(mode=mode, steps=0)
        method.adapt(samples(6, 0))
        assert np.array_equal(method(tested)["logits"], predictor()(tested)["logits"])


def test_tent_predicts_first_and_changes_nothing_but_normalisation() -> None:
    method = tent.wrap(predictor(), {**defaults(tent), "rate": 0.01}, {})
    seen = samples(12, 0)
    first, plain = method(seen)["logits"], predictor()(seen)["logits"]
    assert np.array_equal(first, plain)
    second = method(seen)["logits"]
    before, after = (float(_adapting.entropy(torch.from_numpy(x))) for x in (first, second))
    assert after < before
    moved = {
        name
        for (name, one), (_, two) in zip(method.net.named_parameters(), predictor().net.named_parameters(), strict=True)
        if not torch.equal(one, two)
    }
    assert moved
    assert moved <= {f"body.{at}.{part}" for at in (1, 5, 9) for part in ("weight", "bias")}


def test_a_black_box_cannot_adapt() -> None:
    with pytest.raises(ModelError, match="only a torch net can be adapted"):
        tent.wrap(lambda _: {}, dict(defaults(tent)), {})


# ---------------------------------------------------------------------- the stream


def test_the_stream_deals_out_support_and_returns_to_the_first_strength() -> None:
    params = {
        **defaults(few_shot_drift),
        "ood": ["mnist"],
        "support": ["fashion_mnist/val", "animal_shape/train"],
        "severities": [0.0, 45.0],
        "draws": 2,
    }
    found = few_shot_drift.steps(params)
    check("drift", found)
    assert [(step.at, step.dataset, step.severity) for step in found[:5]] == [
        (0, "fashion_mnist", 0.0),
        (0, "mnist", 0.0),
        (1, "fashion_mnist", 45.0),
        (1, "mnist", 45.0),
        (9, "fashion_mnist", 0.0),
    ]
    assert [step.at for step in found[5:]] == [10, 10, 11, 11, 19]
    assert [step.reset for step in found] == [True, *[False] * 4] * 2
    shown = [(one.dataset, one.severity, one.part, one.of) for step in found for one in step.support]
    assert shown == [
        (dataset, level, part, 4)
        for part, level in ((0, 0.0), (1, 45.0), (2, 0.0), (3, 45.0))
        for dataset in ("fashion_mnist", "animal_shape")
    ]
    assert {one.reads for one in found} == {""}
    apart = few_shot_drift.steps({**params, "parts": True})
    assert [one.tested[0] for one in apart[:5]] == [
        "fashion_mnist_0", "mnist_0", "fashion_mnist_1", "mnist_1", "fashion_mnist_0",
    ]  # fmt: skip
    assert [replace(one, reads="") for one in apart] == found
    assert str(apart[2]) == "test fashion_mnist_1/test/rotate_degrees/45 as fashion_mnist"
    with pytest.raises(ParamsError, match="stride is 2, and there are 3 times; raise it"):
        few_shot_drift.steps({**params, "stride": 2})


# ---------------------------------------------------------------------- the card


@pytest.mark.parametrize("scale", ["", "/full"])
def test_every_training_takes_the_gradient_of_as_many_images(scale: str) -> None:
    params = configurations.load(f"systems/mol-caood{scale}", HOME)
    budgets = {}
    asked = (spec for benchmark in params.benchmarks.values() for spec in benchmark.models)
    for name in {trainer for spec in asked for trainer in spec.trainers}:
        options = params.options("trainers", name)
        if "epochs" in options:
            inner = options.get("inner_steps", 0) * options.get("support", 0)
            budgets[name] = options["epochs"] * (1 + inner / options["batch_size"])
    assert len(budgets) == 5
    assert len(set(budgets.values())) == 1, budgets


@pytest.mark.parametrize("scale", ["", "/full"])
def test_no_image_is_tested_at_two_times_or_shown(scale: str) -> None:
    params = configurations.load(f"systems/mol-caood{scale}", HOME)
    for name in params.streams:
        found = few_shot_drift.steps(params.options("streams", name))
        slices: dict[str, dict[str, tuple[float, float]]] = {}
        for step in found:
            entry, of = params.datasets[step.reads], params.datasets[step.dataset]
            assert (entry.use or step.reads) == (of.use or step.dataset)
            low, high = entry.slice.test
            slices.setdefault(step.dataset, {})[step.reads] = (low, high)
        for parts in slices.values():
            ordered = sorted(parts.values())
            assert all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))
        shown = {one.dataset for step in found for one in step.support if one.split == "train"}
        learnt = params.datasets[found[0].dataset].slice.train
        for other in shown:
            if params.use("datasets", other) == params.use("datasets", found[0].dataset):
                assert learnt[1] <= params.datasets[other].slice.train[0]


def test_what_is_read_at_a_time_is_proved_to_be_apart_from_the_other_side() -> None:
    params = configurations.load("systems/mol-caood", HOME)
    roles = {name: role for role, name, _ in detector_plan.sets(params.benchmarks["adapted"], params)}
    assert {roles[f"worn_{time}"] for time in range(7)} == {"id"}
    assert {roles[f"mnist_{time}"] for time in range(7)} == {"ood"}
    assert roles["worn_later"] == "support"
