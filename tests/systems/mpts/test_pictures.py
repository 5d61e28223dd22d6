"""MPTS on pictures: the tasks, the convnet's second-order step, and trainings by the samplers of the sinusoids."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from makers import sinusoid_jobs
from makers.picture_jobs import candidates, job, net, originals, tasks
from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.data import schema, training_log
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.tasks import LabelSpace, few_shot_classification
from shiftbench.systems.mpts.analyses import risk_surface
from shiftbench.systems.mpts.datasets import _pictures
from shiftbench.systems.mpts.models import _links, _meta_net, _second_order, maml_convnet
from shiftbench.systems.mpts.trainers import _candidates, _meta
from shiftbench.workflow.stages.train import train_weights

TRAINERS = ("maml_erm", "maml_drm", "maml_gdrm", "maml_mpts", "maml_random")

# ------------------------------------------------------------------ tasks


def identifiers(count: int) -> NDArray[np.float64]:
    return _pictures.sample((count,), RandomStream(0, "a", "b", "c"))


def test_identifiers_are_uniform_in_angle_contrast_and_pair() -> None:
    drawn = identifiers(4000)
    low, high = np.array(_pictures.BOUNDS).T
    shares = (drawn[:, :2] - low) / (high - low)
    assert shares.min() > 0
    assert shares.max() < 1
    assert np.abs(shares.mean(0) - 0.5).max() < 0.02
    assert set(drawn[:, 2:].sum(1)) == {2}
    pairs, counts = np.unique(drawn[:, 2:], axis=0, return_counts=True)
    assert len(pairs) == 45
    assert abs(counts / 4000 * 45 - 1).max() < 0.4


@pytest.mark.parametrize(("each", "held"), [(1, 1), (3, 5), (10, 5367), (25, 26)])
def test_no_picture_is_twice_in_a_task_and_each_is_drawn_as_often(each: int, held: int) -> None:
    places, first = _pictures.choose((600,), each, held, RandomStream(0, "a", "b", f"{each}"))
    assert places.shape == (600, 2, each)
    assert places.min() >= 0
    assert places.max() < held
    assert all(len(set(row.tolist())) == each for row in places.reshape(-1, each))
    counts = np.bincount(places.ravel(), minlength=held)
    expected = 1200 * each / held
    assert abs(counts - expected).max() < 6 * math.sqrt(expected) + 1
    assert 0.4 < first.mean() < 0.6


def test_a_task_of_the_same_identity_has_the_same_bytes_and_another_has_others() -> None:
    one, again, other = tasks(4), tasks(7)[:4], tasks(4, seed=1)
    for name in few_shot_classification.REQUIRED:
        found = [[s.fields[name].tobytes() for s in part] for part in (one, again, other)]
        assert found[0] == found[1]
        assert name.endswith("labels") or set(found[0]).isdisjoint(found[2])
    assert [s.fields["meta"] for s in one] == [s.fields["meta"] for s in again]
    assert [s.fields["meta"] for s in one] != [s.fields["meta"] for s in other]


def test_splits_share_no_picture_and_no_task() -> None:
    raw = {split: _pictures.pool(split, originals())[..., :-1] for split in _pictures.PARTS}
    assert [pool.shape for pool in raw.values()] == [(10, n, 784) for n in (54, 6, 30)]
    pictures = [{p.tobytes() for p in pool.reshape(-1, 784)} for pool in raw.values()]
    assert len(set.union(*pictures)) == sum(map(len, pictures)) == 900
    named = [{tuple(s.fields["meta"]["identifier"]) for s in tasks(30, split)} for split in raw]
    drawn = candidates().identifiers.tolist()
    assert len(set.union(*named, set(map(tuple, drawn)))) == 90 + len(drawn)


def test_each_part_of_the_files_is_a_split() -> None:
    """Of 60,000 pictures the first 54,000 are train's: here of 600, whose labels go round."""
    for split, (first, last) in {"train": (0, 539), "val": (540, 599)}.items():
        pool = _pictures.pool(split, originals())
        whole = np.fromfile(originals() / "train-images-idx3-ubyte", np.uint8)[16:].reshape(600, -1)
        assert np.array_equal(pool[first % 10, 0, :-1], whole[first])
        assert np.array_equal(pool[last % 10, -1, :-1], whole[last])
        assert not pool[..., -1].any()


def test_a_task_shows_its_pair_turned_and_paled() -> None:
    """Against SciPy's rotation by the nearest pixel and means by hand."""
    pool = _pictures.pool("test", originals())
    drawn = _pictures.choose((40,), 3, pool.shape[1], RandomStream(0, "a", "b", "d"))
    named = identifiers(40)
    images, labels = _pictures.make(named, drawn, pool)
    assert images.shape == (40, 6, 14, 14)
    assert labels.tolist() == [[0, 1] * 3] * 40
    for task, (angle, contrast, *members) in enumerate(named):
        pair = np.flatnonzero(members)
        for at in range(6):
            member = at % 2 if drawn.first[task] == 0 else 1 - at % 2
            plain = pool[pair[member], drawn.places[task, member, at // 2], :-1].reshape(28, 28)
            turn = {"order": 0, "reshape": False, "mode": "grid-constant"}
            turned = ndimage.rotate(plain, math.degrees(angle), **turn)
            small = turned.reshape(14, 2, 14, 2).mean((1, 3))
            wanted = 128 + contrast * (small - 128)
            assert (np.abs(images[task, at] - wanted) < 2).mean() > 0.97


def test_no_turn_leaves_a_picture_and_a_half_turn_turns_it_round() -> None:
    picture = np.arange(784)
    assert np.array_equal(_pictures.turns(0.0), picture)
    assert np.array_equal(_pictures.turns(math.pi), picture[::-1])
    quarter = np.rot90(picture.reshape(28, 28)).ravel()
    assert np.array_equal(_pictures.turns(math.pi / 2), quarter)
    assert (_pictures.turns(math.pi / 4) == 784).mean() == pytest.approx(0.17, abs=0.03)


def test_levels_worked_by_hand() -> None:
    four = np.zeros((1, 1, 784), np.uint8)
    four[0, 0, [0, 1, 28, 29]] = [255, 254, 10, 3]
    assert _pictures.halve(four)[0, 0, :2].tolist() == [131, 0]  # 522 / 4 = 130.5
    levels = np.array([[[0, 128, 255]]], np.int32)
    assert _pictures.fade(levels, np.array([1.0])).tolist() == [[[0, 128, 255]]]
    assert _pictures.fade(levels, np.array([0.5])).tolist() == [[[64, 128, 192]]]
    assert _pictures.fade(levels, np.array([0.1])).tolist() == [[[115, 128, 141]]]  # 26 / 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count, shots or query is 0; expected 1 at least"),
        ({"query": 29}, "shots and query are 31 pictures of a class; test has 30"),
    ],
)
def test_a_dataset_of_nothing_or_too_much_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        tasks(**options)


# ------------------------------------------------------------------ the net and its second-order step


@pytest.mark.parametrize(("side", "channels"), [(14, 1), (7, 3), (4, 2), (1, 2)])
def test_patches_are_a_convolution_of_stride_two_and_back_is_the_transpose(side: int, channels: int) -> None:
    draws = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3 * side * side, channels, generator=draws)
    weight = torch.randn(5, channels, 3, 3, generator=draws)
    link = _links.Patches(side, channels)
    patches = link.forth(maps.numpy())
    assert torch.equal(torch.from_numpy(patches), link.tensor(maps))
    rows = weight.permute(0, 2, 3, 1).reshape(5, -1)  # a patch has its channels innermost
    images = maps.reshape(6, side, side, channels).permute(0, 3, 1, 2)
    wanted = F.conv2d(images, weight, stride=2, padding=1).permute(0, 2, 3, 1).reshape(2, -1, 5)
    torch.testing.assert_close(torch.from_numpy(patches) @ rows.T, wanted)
    other = np.random.default_rng(0).normal(size=patches.shape).astype(np.float32)
    one, two = (patches * other).sum(), (maps.numpy() * link.back(other)).sum()
    assert one == pytest.approx(two, rel=1e-4, abs=1e-3)


def plain_outputs(pictures: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """The net as torch has it: two convolutions and a linear layer, of pictures (k, 14, 14)."""
    x = pictures[:, None]
    for at in (0, 1):
        linear = weights[f"{at}.weight"]
        kernel = linear.reshape(len(linear), 3, 3, -1).permute(0, 3, 1, 2)
        x = F.conv2d(x, kernel, weights[f"{at}.bias"], stride=2, padding=1).relu()
    rows = x.permute(0, 2, 3, 1).flatten(1)
    return F.linear(rows, weights["2.weight"], weights["2.bias"])[:, 0]


def plain_risk(points: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    outputs = plain_outputs(points[:, :-1].reshape(-1, 14, 14), weights)
    return F.binary_cross_entropy_with_logits(outputs, points[:, -1])


def test_the_convnet_is_two_convolutions_and_a_linear_layer() -> None:
    theta = net()
    shapes = {name: tuple(one.shape) for name, one in theta.layers.named_parameters()}
    assert [shapes[f"{at}.weight"] for at in range(3)] == [(8, 9), (16, 72), (1, 256)]
    points = torch.from_numpy(theta.points(tasks(3), "query"))
    found = theta.forward(points[..., :-1], theta.vector().expand(3, -1))
    weights = dict(theta.layers.named_parameters())
    for task, outputs in zip(points, found, strict=True):
        wanted = plain_outputs(task[:, :-1].reshape(-1, 14, 14), weights)
        torch.testing.assert_close(outputs, wanted)


@pytest.mark.parametrize("rate", [0.01, 0.4, 3.0])
def test_the_second_order_step_is_that_of_torch_func(rate: float) -> None:
    """Of each task alone, differentiated through the inner step; at a large rate the curvature is most of it."""
    theta = net()
    _, support, query = candidates(shots=4).of(torch.arange(5))
    sides = torch.from_numpy(support), torch.from_numpy(query)

    def risks(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        def one(s: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
            steep = torch.func.grad(lambda w: plain_risk(s, w))(weights)
            return plain_risk(q, {name: w - rate * steep[name] for name, w in weights.items()})

        return torch.func.vmap(one)(*sides)

    weights = {name: one.detach() for name, one in theta.layers.named_parameters()}
    gradient = torch.func.grad(lambda w: risks(w).square().sum())(weights)
    wanted = torch.cat([gradient[name].flatten() for name in weights]).numpy()
    layers = theta.in_layers(theta.vector())
    found = _second_order.meta_gradient(theta, layers, support, query, rate, lambda r: r.square().sum())
    torch.testing.assert_close(found[0], risks(weights), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    # A first-order gradient is another one: the test sees the second derivative.
    rows = _meta_net.gradient_steps(theta, theta.vector(), sides[0], rate, 1).requires_grad_()
    single = _meta_net.risks(theta, sides[1], rows).square().sum()
    (first,) = torch.autograd.grad(single, rows)
    assert np.abs(first.sum(0).numpy() - wanted).max() > 1e-3 * rate * np.abs(wanted).max()


def test_the_loss_of_log_odds_and_its_derivatives() -> None:
    outputs = torch.tensor([[[0.0], [3.0], [-90.0], [90.0]]], requires_grad=True)
    targets = torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    found = _second_order.logistic(outputs.detach().numpy(), targets.numpy())
    risk = F.binary_cross_entropy_with_logits(outputs, targets)
    assert float(found.risks[0]) == pytest.approx(float(risk.detach()), rel=1e-6)
    (slopes,) = torch.autograd.grad(risk, outputs, create_graph=True)
    (bends,) = torch.autograd.grad(slopes.sum(), outputs)
    np.testing.assert_allclose(found.slopes, slopes.detach().numpy(), atol=1e-7)
    np.testing.assert_allclose(found.bends, bends.numpy(), atol=1e-7)


def test_the_predictor_takes_three_steps_on_the_support() -> None:
    theta, samples = net(), tasks(3)
    model = registry.find("models", "maml_convnet")
    found = model.predictor(theta, model, defaults(model), "cpu", "float32")(samples)
    for sample, logits in zip(samples, found["logits"], strict=True):
        weights = {name: one.detach() for name, one in theta.layers.named_parameters()}
        support, query = (torch.from_numpy(theta.points([sample], n))[0] for n in ("support", "query"))
        for _ in range(3):
            steep = torch.func.grad(lambda w, s=support: plain_risk(s, w))(weights)
            weights = {name: one - 0.4 * steep[name] for name, one in weights.items()}
        wanted = plain_outputs(query[:, :-1].reshape(-1, 14, 14), weights).numpy()
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], wanted, atol=1e-4)
    assert np.isnan(found["predicted_risk"]).all()  # the risk model did not learn
    risks = few_shot_classification.rows(samples, found, LabelSpace((), ()), "full")["risk_e9"]
    rows = _meta_net.adapt(theta, torch.from_numpy(theta.points(samples, "support")), defaults(model))
    own = _meta_net.risks(theta, torch.from_numpy(theta.points(samples, "query")), rows)
    np.testing.assert_allclose(np.array(risks.to_pylist()) / 1e9, own.numpy(), rtol=1e-4)


def test_levels_enter_as_minus_one_to_one() -> None:
    pictures = np.array([[[[0, 128], [255, 64]]]], np.uint8)
    points = maml_convnet.points(pictures, np.array([[1]], np.uint8))
    assert points.tolist() == [[[-1.0, 0.0, 127 / 128, -0.5, 1.0]]]


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("name", TRAINERS)
def test_the_same_job_gives_the_same_bytes_and_another_seed_another_net(name: str) -> None:
    (one, log), (again, _), (other, _) = (train_weights(job(name, seed)) for seed in (0, 0, 1))
    assert nets.state_bytes(one) == nets.state_bytes(again)
    assert nets.state_bytes(one) != nets.state_bytes(other)
    last = {row[1]: row[2] for row in log}
    assert last["task_evaluations"] == 6 * (32 if name == "maml_drm" else 16)
    assert ("selected_correlation" in last) == (name == "maml_mpts")
    shares = [row[2] for row in log if row[1].startswith("chosen/") and row[0] == 4]
    assert sum(shares) == pytest.approx(1)
    assert int(one["risk_model.updates"]) in ((3, 6) if name == "maml_mpts" else (0,))


def test_arms_of_a_seed_see_the_same_candidates_and_end_apart() -> None:
    first = [next(iter(_candidates.Pictures(job(name, seed=3)))) for name in TRAINERS]
    made = [one.of(torch.tensor([5, 2])) for one in first]
    assert all(np.array_equal(made[0][side], other[side]) for other in made for side in (1, 2))
    assert not np.array_equal(made[0][1], candidates(seed=4).of(torch.tensor([5, 2]))[1])
    states = [train_weights(job(name, keep="last"))[0]["layers.1.weight"] for name in TRAINERS]
    assert all(not torch.equal(states[0], state) for state in states[1:])


def test_support_and_query_of_a_candidate_share_no_picture_and_have_both_classes() -> None:
    tasks_, support, query = candidates().of(torch.arange(32))
    assert tasks_.shape == (32, 12)
    assert support.shape == query.shape == (32, 10, 197)
    for one, other in zip(support, query, strict=True):
        assert len({row[:-1].tobytes() for row in (*one, *other)}) == 20
        assert one[:, -1].sum() == other[:, -1].sum() == 5


def test_a_longer_training_learns_to_tell_bars_apart() -> None:
    _, log = train_weights(job("maml_mpts", iterations=60, validate=30, lr=0.01))
    risks = [row[2] for row in log if row[1] == "val_risk"]
    assert risks[-1] < 0.6 < math.log(2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shots": 5}, ParamsError, "shots is 5; pictures are of two classes, expected an even"),
        ({"distribution": "picture"}, ParamsError, "'picture' is not known; did you mean pictures"),
        ({"distribution": "sinusoids"}, ParamsError, "trains the model maml_mlp on sinusoids; got"),
        ({"lr": 1e6, "validate": 1}, ModelError, "the risk on val is .* lower `lr`"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train_weights(job("maml_erm", **options))


def test_a_net_of_sinusoids_learns_no_pictures() -> None:
    with pytest.raises(ParamsError, match="trains the model maml_convnet on pictures; got 'maml_mlp'"):
        train_weights(sinusoid_jobs.job("maml_erm", distribution="pictures"))


def test_trainers_need_what_they_draw_from() -> None:
    context = {"dataset": "d", "model": "m", "seed": 0}
    assert _meta.needs({**defaults(_meta), **context}) == [refs.shards("d", "val")]
    pictures = _meta.needs({**defaults(_meta), **context, "distribution": "pictures"})
    assert pictures == [refs.shards("d", "val"), Ref("sources", "fashion_mnist")]


# ------------------------------------------------------------------ the surface


def test_the_surface_of_pictures_is_over_angle_and_contrast(tmp_path: Any) -> None:
    name = "fashion_pairs/maml_convnet-maml_mpts-s0"
    state, log = train_weights(job("maml_mpts"))
    weights, records = tmp_path / "w.safetensors", tmp_path / "records.parquet"
    weights.write_bytes(nets.state_bytes(state, {}))
    schema.write(schema.training_log(log), training_log.log_path(weights), "f")
    theta, samples = net(), tasks(20)
    theta.load_state_dict(state)
    model = registry.find("models", "maml_convnet")
    outputs = model.predictor(theta, model, defaults(model), "cpu", "float32")(samples)
    table = few_shot_classification.rows(samples, outputs, LabelSpace((), ()), "full")
    schema.write(table, records, "f")
    context = {"dataset": "fashion_pairs", "split": "test", "checkpoints": [name], "methods": ["plain"]}
    params = {**defaults(risk_surface), **context, "distribution": "pictures"}
    inputs = dict(zip(risk_surface.needs(params), (weights, records), strict=True))
    found = list(risk_surface.measure(Measurement(params, inputs, 0, {})))
    places = {one.key: one for one in found if one.metric == "cell_risk"}
    for sample in samples:
        angle, contrast = sample.fields["meta"]["identifier"][:2]
        place = places[sample.key]
        assert abs(angle - (place.severity or 0)) < math.pi / 10 + 0.01
        ends = [float(word) for word in str(place.group).split()[1::2]]
        assert str(place.group).startswith("contrast ")
        assert ends[0] - 0.01 <= contrast <= ends[1] + 0.01
    chosen = [one.value for one in found if one.metric == "cell_chosen"]
    assert np.mean(chosen) == pytest.approx(1)
