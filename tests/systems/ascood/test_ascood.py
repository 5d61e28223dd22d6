"""ASCOOD: attribution, damage and loss beside literal versions of their equations; the head; the search; the data."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

from makers import training_jobs
from shiftbench import plugins, refs
from shiftbench.contracts import Measurement
from shiftbench.data import shards
from shiftbench.detectors import (
    _gradients,
    energy,
    iodin,
    scale,
)
from shiftbench.detectors._rows import Head, Known, Rows
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.losses import uniform
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.stages.detector_context import check_head
from shiftbench.stages.score import score_cell
from shiftbench.stages.train import train_weights
from shiftbench.systems.ascood.analyses import released_scores
from shiftbench.systems.ascood.datasets import spurious_fashion
from shiftbench.systems.ascood.detectors import scale_mixed
from shiftbench.systems.ascood.methods import raw_features
from shiftbench.systems.ascood.models import standardised
from shiftbench.systems.ascood.trainers import _attribution, ascood
from shiftbench.trainers import _loop

OPTIONS = {"type": "gradient", "p_inv": 0.1, "alpha": 0.5, "sign": "+", "attribution": "eval"}
UNIT = _attribution.Scale(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


def words() -> RandomStream:
    return RandomStream(0, "ascood", "test", "0")


def small_net(channels: int = 2, classes: int = 3) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * 30, 8), nn.Tanh(), nn.Linear(8, classes)
    )


def batch(channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(4, channels, 5, 6), torch.tensor([0, 2, 1, 2])


# --- attribution and damage ----------------------------------------------------------------------


def test_attribution_is_the_gradient_of_the_own_true_logit() -> None:
    net, (x, labels) = small_net(), batch()
    found = _attribution.of_labels(net, x, labels)
    assert all(parameter.grad is None for parameter in net.parameters())
    for n in range(4):
        alone = x[n : n + 1].clone().requires_grad_()
        net(alone)[0, labels[n]].backward()
        assert torch.allclose(found[n], alone.grad[0], atol=1e-7)  # type: ignore[index]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.29, 1.0])
def test_the_mask_has_exactly_its_share_rounded_down(share: float) -> None:
    x, labels = batch()
    views = _attribution.damaged(small_net(), x, labels, words(), UNIT, {**OPTIONS, "p_inv": share})
    assert views.mask.flatten(1).sum(1).tolist() == [math.floor(share * 60)] * 4
    assert _attribution.count(0.29, 100) == 29  # where 0.29 * 100 < 29


@pytest.mark.parametrize("sign", ["+", "-"])
def test_gradient_damage_is_its_equation_and_moves_the_true_logit(sign: str) -> None:
    x, labels = batch()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    views = _attribution.damaged(linear, x, labels, words(), UNIT, {**OPTIONS, "sign": sign})
    for n in range(4):
        g = linear[1].weight[labels[n]].detach().numpy()
        top = sorted(range(60), key=lambda i: -abs(g[i]))[:6]
        expected = x[n].flatten().numpy().copy()
        expected[top] += {"+": 0.5, "-": -0.5}[sign] * g[top]
        assert np.allclose(views.images[n].flatten().numpy(), expected, atol=1e-6)
    with torch.no_grad():
        rise = (linear(views.images) - linear(x)).gather(1, labels[:, None])
    assert (rise > 0).all() if sign == "+" else (rise < 0).all()


def test_shuffling_permutes_the_pixels_of_the_largest_signed_gradient() -> None:
    net, (x, labels) = small_net(), batch()
    views = _attribution.damaged(
        net, x, labels, words(), UNIT, {**OPTIONS, "type": "shuffle", "p_inv": 0.4}
    )
    signed = _attribution.of_labels(net, x, labels).exp().sum(1).flatten(1).numpy()
    moved = 0
    for n in range(4):
        top = set(np.argsort(-signed[n], kind="stable")[:12].tolist())
        before, after = (t[n].flatten(1).T.numpy() for t in (x, views.images))
        rest = [i for i in range(30) if i not in top]
        assert np.array_equal(before[rest], after[rest])
        assert sorted(map(tuple, before.tolist())) == sorted(map(tuple, after.tolist()))
        assert views.mask[n, 0].flatten().nonzero().flatten().tolist() == sorted(top)
        moved += sum(not np.array_equal(before[i], after[i]) for i in top)
    assert moved > 24


def test_damage_counts_normalised_pixels_whatever_the_net_is_given() -> None:
    inner, (x, labels) = small_net(), batch()
    ends = torch.tensor(0.0), torch.tensor(255.0)
    scale_ = _attribution.Scale.of(ends, [0.4, 0.5], [0.2, 0.25])
    net = nn.Sequential(Shift(scale_), inner)
    given = scale_.centre + scale_.spread * x
    for kind in ("gradient", "shuffle", "gaussian"):
        options = {**OPTIONS, "type": kind}
        in_pixels = _attribution.damaged(net, given, labels, words(), scale_, options)
        normal = _attribution.damaged(inner, x, labels, words(), UNIT, options)
        back = (in_pixels.images - scale_.centre) / scale_.spread
        assert torch.allclose(back, normal.images, atol=1e-4)
        assert torch.equal(in_pixels.mask, normal.mask)


class Shift(nn.Module):
    """Normalises as a scale says."""

    def __init__(self, scale_: _attribution.Scale) -> None:
        super().__init__()
        self.by = scale_

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.by.centre) / self.by.spread


def test_attribution_in_evaluation_mode_leaves_statistics_and_modes_alone() -> None:
    x, labels = batch()
    net = nn.Sequential(nn.BatchNorm2d(2), small_net()).train()
    for how, moved in (("eval", False), ("train", True)):
        before = net[0].running_mean.clone()
        _attribution.damaged(net, x, labels, words(), UNIT, {**OPTIONS, "attribution": how})
        assert bool((net[0].running_mean != before).any()) == moved
        assert net.training
        assert net[0].training


def test_alpha_is_the_released_one_in_each_epoch() -> None:
    """The released trainer counts epochs from 1: Waterbirds' alpha goes from 291 to 30."""
    found = []
    job = training_jobs.job(
        "convnet", "ascood", epochs=30, alpha_max=300.0, alpha_min=30.0, shift=0
    )
    loss, net = ascood.Loss(job), _loop.fresh_net(job)
    inputs, labels = _loop.data(job, "train")
    for epoch in range(1, 31):
        loss.begin(net)
        found.append(loss.alpha)
        assert found[-1] == pytest.approx((300 - 30) * (1 - epoch / 30) + 30)
    assert (found[0], found[-1]) == (291.0, 30.0)
    still = torch.from_numpy(inputs[:4]).float()
    scale_ = _attribution.Scale.of((torch.tensor(0.0), torch.tensor(255.0)), 0.5, 0.5)
    twin = _loop.fresh_net(job)
    views = _attribution.damaged(
        twin, still, labels[:4], words(), scale_, {**job.params, "alpha": 30.0}
    )
    logits = twin.train()(torch.cat([still, views.images])).detach()
    expected = (
        nn.functional.cross_entropy(logits[:4], labels[:4]) + uniform.loss(logits[4:]) - math.log(4)
    )
    assert loss(net, inputs[:4], labels[:4], words()).item() == pytest.approx(
        expected.item(), abs=1e-5
    )


@pytest.mark.parametrize(("name", "value"), [("type", "shufle"), ("sign", "x"), ("p_inv", 2.0)])
def test_what_is_no_damage_is_refused(name: str, value: Any) -> None:
    x, labels = batch()
    with pytest.raises(ParamsError, match=name):
        _attribution.damaged(small_net(), x, labels, words(), UNIT, {**OPTIONS, name: value})


def test_clean_damaged_and_masks_make_a_picture(tmp_path: Path) -> None:
    x, labels = batch()
    seen = 127.5 + 60 * x
    views = _attribution.damaged(small_net(), seen, labels, words(), UNIT, OPTIONS)
    sheet = _attribution.picture(seen, views)
    Image.fromarray(sheet).save(tmp_path / "views.png")
    again = np.asarray(Image.open(tmp_path / "views.png"))
    assert again.shape == (3 * (5 + 2), 4 * (6 + 2))
    assert np.array_equal(again[1:6, 1:7], seen[0].mean(0).clamp(0, 255).round().numpy())
    masked = again[15:20, 9:15] > 0
    assert np.array_equal(masked, views.mask[1].any(0).numpy())


@pytest.mark.parametrize("kind", _attribution.TYPES)
def test_eight_samples_are_pictured_as_a_net_would_damage_them(kind: str, tmp_path: Path) -> None:
    predictor = nets.TorchPredictor(a_net("zscore"), standardised, standardised.PARAMS, "cpu")
    options = {**ascood.PARAMS, "type": kind, "alpha_max": 100.0}
    sheet = _attribution.pictured(predictor, training_jobs.pictures(8), options, words())
    Image.fromarray(sheet).save(tmp_path / f"{kind}.png")
    assert np.asarray(Image.open(tmp_path / f"{kind}.png")).shape == (3 * 30, 8 * 30)
    clean, other, mask = sheet.reshape(3, 30, 240)
    inside = mask[1:29, 1:29] > 0
    assert inside.mean() == pytest.approx(1.0 if kind == "gaussian" else 0.1, abs=0.001)
    changed = (clean != other)[1:29, 1:29]
    assert changed.any()
    assert not changed[~inside].any()


# --- the loss and training -----------------------------------------------------------------------


def test_the_loss_is_cross_entropy_and_weighted_kl_over_one_batch() -> None:
    job = training_jobs.job("convnet", "ascood", type="shuffle", weight=0.3, shift=0)
    net = _loop.fresh_net(job)
    loss = ascood.Loss(job)
    loss.begin(net)
    inputs, labels = _loop.data(job, "train")
    found = loss(net, inputs[:8], labels[:8], words())
    x = torch.from_numpy(inputs[:8]).float()
    scale_ = _attribution.Scale.of((torch.tensor(0.0), torch.tensor(255.0)), 0.5, 0.5)
    twin = _loop.fresh_net(job)  # whose normalisation has seen nothing
    views = _attribution.damaged(twin, x, labels[:8], words(), scale_, {**job.params, "alpha": 1.0})
    p = twin.train()(torch.cat([x, views.images])).softmax(1).double().detach()
    told = -sum(math.log(p[n, labels[n]]) for n in range(8)) / 8
    kl = sum(0.25 * math.log(0.25 / p[8 + n, c]) for n in range(8) for c in range(4)) / 8
    assert found.item() == pytest.approx(told + 0.3 * kl, abs=1e-5)


@pytest.mark.parametrize("options", [{"type": "shuffle"}, {"kl": False}, {"type": "gaussian"}])
def test_training_repeats_and_its_weights_fit_the_net(options: dict[str, Any]) -> None:
    jobs = [
        training_jobs.job("standardised", "ascood", epochs=1, batch_size=16, **options)
        for _ in range(2)
    ]
    first, second = (train_weights(job)[0] for job in jobs)
    assert nets.state_bytes(first) == nets.state_bytes(second)
    nets.load_into(_loop.fresh_net(jobs[0]), first, "made here")


def test_energies_are_judged_by_a_net_of_their_own() -> None:
    job = training_jobs.job("convnet", "ascood", kl=False)
    net, (x, _) = small_net(1, 3), batch(1)
    net.add_module(ascood.JUDGE, nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 2)))
    clean, damaged = net[:4](x), net[:4](x + 1)
    found = ascood.Loss(job).outliers(net, clean, damaged).item()
    judge = net.get_submodule(ascood.JUDGE)
    expected = [
        -torch.log_softmax(judge(logits.exp().sum().log()[None]), 0)[side].item()
        for side, part in enumerate((clean, damaged))
        for logits in part
    ]
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_it_learns_and_is_unsure_of_what_it_damages() -> None:
    job = training_jobs.job(
        "standardised", "ascood", epochs=6, batch_size=16, type="shuffle", p_inv=0.5
    )
    state, rows = train_weights(job)
    net = _loop.fresh_net(job)
    nets.load_into(net, state, "made here")
    assert [value for _, name, value in rows if name == "val_accuracy"][-1] > 0.9
    inputs, _ = _loop.data(job, "train")
    x = torch.from_numpy(inputs).float()
    with torch.no_grad():
        clean = net.eval()(x).softmax(1).amax(1)
        noise = net(x[:, :, torch.randperm(28)][..., torch.randperm(28)]).softmax(1).amax(1)
    assert clean.mean() > noise.mean()


def test_training_goes_on_from_other_weights(tmp_path: Path) -> None:
    state, _ = train_weights(training_jobs.job("standardised", "erm", epochs=1))
    file = training_jobs.write(tmp_path / "w.safetensors", state)
    start = refs.weights("tiny", "standardised", "erm", 0)
    context = {"dataset": "tiny", "model": "standardised", "seed": 0}
    assert start in ascood.needs({**ascood.PARAMS, "start": "erm", **context})
    job = training_jobs.job("standardised", "ascood", inputs={start: file}, epochs=1, lr=0.0)
    found, _ = train_weights(job)
    assert torch.equal(found["head.weight"], state["head.weight"])


# --- the head ------------------------------------------------------------------------------------


def a_net(space: str) -> nn.Module:
    torch.manual_seed(3)
    made_: nn.Module = standardised.build({**standardised.PARAMS, "space": space}, 4)
    return made_.eval()


@pytest.mark.parametrize("space", ["zscore", "norm"])
def test_scaling_a_feature_leaves_the_logits(space: str) -> None:
    net: Any = a_net(space)
    h = torch.rand(6, 96) + 0.1
    logits = net.head(net.standardised(h))
    for factor in (0.5, 3.0, 1000.0):
        assert torch.allclose(net.head(net.standardised(factor * h)), logits, atol=1e-5)
    assert not torch.allclose(net.head(3 * h), net.head(h), atol=1e-2)


def test_standardising_is_per_sample_with_the_unbiased_deviation() -> None:
    net: Any = a_net("zscore")
    h = torch.rand(3, 96)
    expected = [0.5 * (row - np.mean(row)) / (np.std(row, ddof=1) + 1e-6) for row in h.numpy()]
    assert np.allclose(net.standardised(h).numpy(), np.stack(expected), atol=1e-5)
    assert torch.equal(a_net("plain").standardised(h), h)  # type: ignore[operator]


def test_a_pretrained_nets_tensors_are_adopted() -> None:
    net: Any = a_net("zscore")
    inner = plugins.find("models", "convnet")
    state = inner.build(inner.PARAMS, 4).state_dict()
    nets.load_into(net, net.adopt(state), "the inner net's")
    assert net.adopt(net.state_dict()).keys() == net.state_dict().keys()
    with pytest.raises(ParamsError, match="zscor"):
        standardised.build({**standardised.PARAMS, "space": "zscor"}, 4)


def test_released_checkpoints_load_with_their_sigma() -> None:
    """The layout of the authors' `ASCOODNet`: `backbone.` with its `fc`, and the buffer `sigma`."""
    options = {"net": "resnet18_32x32", "options": {"depths": [1, 1, 1, 1]}, "space": "zscore"}
    net: Any = standardised.build({**standardised.PARAMS, **options}, 4)
    inner = plugins.find("models", "resnet18_32x32")
    own = inner.build({**inner.PARAMS, **options["options"]}, 4).state_dict()  # type: ignore[dict-item]
    released = {
        f"backbone.{name.replace('head.', 'fc.')}": tensor for name, tensor in own.items()
    } | {"sigma": torch.tensor(0.5)}
    nets.load_into(net, net.adopt(released), "the authors'")
    assert torch.equal(net.head.weight, own["head.weight"])
    assert torch.equal(net.body.conv1.weight, own["conv1.weight"])
    with pytest.raises(ModelError, match="trained with sigma 1, the model has 0.5"):
        net.adopt({**released, "sigma": torch.tensor(1.0)})


RELEASED = """,FPR@95,AUROC,AUPR_IN,AUPR_OUT,ACC
cifar100,35.92 ± 1.12,90.46 ± 0.17,91.21 ± 0.20,89.14 ± 0.23,95.00 ± 0.07
tin,22.42 ± 0.99,94.41 ± 0.20,95.67 ± 0.16,92.65 ± 0.24,95.00 ± 0.07
nearood,29.17 ± 0.84,92.43 ± 0.17,93.44 ± 0.15,90.90 ± 0.23,95.00 ± 0.07
farood,9.37 ± 0.40,97.95 ± 0.09,96.04 ± 0.12,98.75 ± 0.06,95.00 ± 0.07
"""
"""Rows of the authors' `cifar10_ascood_.../ood/scale.csv`: facts."""


def test_released_numbers_become_rows_beside_those_computed_here(tmp_path: Path) -> None:
    file = tmp_path / "scale.csv"
    file.write_text(RELEASED, encoding="utf-8")
    context = {
        "campaign": "c",
        "dataset": "d",
        "split": "test",
        "weights": ["d/m-t-s0", "d/m-t-s1"],
    }
    options = {
        "path": str(file),
        "detector": "scale_mixed",
        "names": {"nearood": "near", "tin": "tin"},
    }
    job = Measurement({**released_scores.PARAMS, **options, **context}, {}, 0, {})
    rows = list(released_scores.measure(job))
    assert len(rows) == 2 * 3 * 2
    near = {row.metric: row.value for row in rows if row.dataset == "near"}
    assert near == pytest.approx(
        {"published_auroc": 0.9243, "published_fpr95": 0.2917, "published_accuracy": 0.95}
    )
    assert {row.detector for row in rows} == {"scale_mixed"}
    for change, why in (
        ({"names": {"svhn": "x"}}, "has no row 'svhn'"),
        ({"path": str(tmp_path / "no.csv")}, "does not exist"),
    ):
        wrong = Measurement({**job.params, **change}, {}, 0, {})
        with pytest.raises(DataError, match=why):
            list(released_scores.measure(wrong))
    file.write_text(RELEASED.replace("92.43 ±", "n/a ±"), encoding="utf-8")
    with pytest.raises(DataError, match="is no `mean ± deviation`"):
        released_scores.released(file)


def rows_of(predictor: Any, samples: list[Sample], head: Head | None) -> Rows:
    found = predictor(samples)
    table = pa.table({"key": [sample.key for sample in samples]})
    again = SimpleNamespace(
        module=predictor.net,
        each=lambda f: iter(
            [
                tuple(
                    t.detach().double().numpy()
                    for t in f(torch.from_numpy(predictor.prepare(samples)))
                )
            ]
        ),
    )
    return Rows(table, found["features"], found["logits"], head, again, "tiny")  # type: ignore[arg-type]


def test_detectors_see_the_features_that_the_method_names() -> None:
    net: Any = a_net("zscore")
    samples = training_jobs.pictures(12)
    predictor = nets.TorchPredictor(net, standardised, standardised.PARAMS, "cpu")
    head = Head(net.head.weight.detach().double().numpy(), net.head.bias.detach().double().numpy())
    plain = rows_of(predictor, samples, head)
    raw = rows_of(raw_features.wrap(predictor, {}, {}), samples, head)
    assert np.array_equal(plain.logits, raw.logits)
    assert np.allclose(plain.features.sum(1), 0, atol=1e-4)
    assert raw.features.min() >= 0
    check_head(head, plain)
    with pytest.raises(ModelError, match="no plain linear layer on these features"):
        check_head(head, raw)
    # SCALE does nothing to what sums to 0; the code of ASCOOD mixes the spaces.
    scaled, energies = (
        score_cell(one, {}, plain, Known())["score"].to_numpy() for one in (scale, energy)
    )
    assert np.allclose(scaled, energies, atol=1e-4)
    mixed = score_cell(scale_mixed, {}, plain, Known())["score"].to_numpy()
    expected = []
    for h in raw.features.astype(np.float64):
        top = np.sort(h)[::-1][: 96 - round(96 * 0.85)]
        logits = head.weight @ (h * np.exp(h.sum() / top.sum())) + head.bias
        expected.append(-np.log(np.exp(logits - logits.max()).sum()) - logits.max())
    assert np.allclose(mixed, expected, rtol=1e-5)


def test_i_odin_moves_exactly_one_input_of_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, _) = small_net(), batch()
    steps: list[torch.Tensor] = []

    def spy(_: Any, moved: torch.Tensor, __: float) -> torch.Tensor:
        steps.append(moved - x)
        return torch.zeros(len(moved))

    monkeypatch.setattr(_gradients, "confidence", spy)
    again = SimpleNamespace(unit=torch.ones(1, 1, 1), logits=net, scored=lambda f: f(x))
    iodin.score(SimpleNamespace(net=again), None, {"temperature": 1000.0, "eps": 0.25})  # type: ignore[arg-type]
    assert (steps[0] != 0).flatten(1).sum(1).tolist() == [1] * 4
    gradient = _gradients.of_decision(again, x, 1000.0).flatten(1)  # type: ignore[arg-type]
    at = gradient.abs().argmax(1)
    assert torch.equal((steps[0] != 0).flatten(1).int().argmax(1), at)
    step = -0.25 * gradient.gather(1, at[:, None])[:, 0].sign()
    assert torch.allclose(steps[0].flatten(1).sum(1), step, atol=1e-6)


# --- the search of an option of training ---------------------------------------------------------


def test_the_candidate_that_knows_validation_ood_best_is_taken(tmp_path: Path) -> None:
    states = [train_weights(training_jobs.job("convnet", "erm", epochs=n))[0] for n in (1, 6)]
    inputs = {
        refs.weights("tiny", "convnet", name, 0): training_jobs.write(tmp_path / name, state)
        for name, state in zip(("weak.safetensors", "strong.safetensors"), states, strict=True)
    }
    grey = [
        Sample(f"grey/val/{n:02d}", {"image": np.full((28, 28), 90 + n, np.uint8), "label": 0})
        for n in range(12)
    ]
    for name, samples in (("tiny", training_jobs.pictures(16, seed=1)), ("grey", grey)):
        folder = tmp_path / name
        folder.mkdir()
        about = {"dataset": name, "split": "val", "task": "classification", "classes": ["a"]}
        shards.write(samples, folder, {"image": "png", "label": "cls"}, about, 10**7)
        inputs[refs.shards(name, "val")] = folder / "manifest.json"
    options = {"among": ["weak", "strong"], "val_ood": ["grey"]}
    job = training_jobs.job("convnet", "searched", inputs=inputs, **options)
    found, rows = train_weights(job)
    areas = [value for _, name, value in rows if name == "auroc"]
    (chosen,) = (int(value) for _, name, value in rows if name == "chosen")
    assert areas[chosen] == max(areas) != min(areas)
    assert nets.state_bytes(found) == nets.state_bytes(states[chosen])
    needed = plugins.find("trainers", "searched").needs(
        {**job.params, "dataset": "tiny", "model": "convnet", "seed": 0}
    )
    assert refs.shards("grey", "val") in needed
    assert refs.weights("tiny", "convnet", "strong", 0) in needed
    with pytest.raises(ParamsError, match="needs more than logits"):
        train_weights(training_jobs.job("convnet", "searched", **options, detector="knn"))


# --- data ----------------------------------------------------------------------------------------


def originals(folder: Path, count: int = 900) -> dict[str, Path]:
    """Write noise in the layout of MNIST, Fashion-MNIST and the photos; labels go round."""
    noise = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        (folder / name).mkdir()
        for part in ("train", "t10k"):
            images = noise.integers(1, 256, (count, 28, 28), np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes()
                (folder / name / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    (folder / spurious_fashion.PHOTOS).mkdir()
    for name in (*spurious_fashion.TEXTURES, spurious_fashion.NEW):
        photo = Image.fromarray(noise.integers(0, 256, (512, 512), np.uint8))
        photo.save(folder / spurious_fashion.PHOTOS / f"{name}.png")
    return {name: folder / name for name in spurious_fashion.SOURCES}


def test_textures_go_with_classes_as_often_as_said_and_the_rest_stays(tmp_path: Path) -> None:
    sources = originals(tmp_path)
    own: dict[float, dict[str, bool]] = {}
    for correlation in (0.5, 0.7, 0.9):
        options = {**spurious_fashion.PARAMS, "correlation": correlation}
        found = list(spurious_fashion.samples("train", sources, options))
        where = ("pullover on brick", "bag on grass")
        own[correlation] = {s.key: s.fields["meta"]["group"] in where for s in found}
        assert np.mean(list(own[correlation].values())) == pytest.approx(correlation, abs=0.08)
        if correlation == 0.9:
            tested = [s.key for s in spurious_fashion.samples("test", sources, options)]
    assert len(own[0.5]) == len(tested) == 180
    for low, high in pairwise((0.5, 0.7, 0.9)):  # who stands on the own texture stays there
        assert all(own[high][key] for key, here in own[low].items() if here)
    for part, count in (("digits", 900), ("garment", 90), ("texture", 900), ("near", 90)):
        options = {**spurious_fashion.PARAMS, "part": part}
        found = list(spurious_fashion.samples("test", sources, options))
        assert len(found) == count
        assert not {sample.key for sample in found} & {*tested}
        groups = {sample.fields["meta"]["group"].partition(" on ")[2] for sample in found}
        assert groups == ({"gravel"} if part == "near" else {"brick", "grass"})


def test_a_garment_hides_its_texture_and_test_crops_are_of_other_rows() -> None:
    texture = np.full((28, 28), 100, np.uint8)
    image = np.zeros((28, 28), np.uint8)
    image[:, 7:14], image[:, 14:] = 16, 200
    pasted = spurious_fashion.pasted(image, texture)
    assert set(pasted[:, :7].ravel()) == {100}
    assert set(pasted[:, 14:].ravel()) == {200}
    assert 16 < pasted[0, 7] < 100
    ends = [end for split in ("train", "test") for end in spurious_fashion.ROWS[split]]
    assert all(a < b for a, b in pairwise(ends))
    photos = np.arange(2 * 80 * 256).reshape(2, 80, 256).astype(np.uint8)
    crops = spurious_fashion.cut(photos, np.array([1, 0]), np.array([[0.999999, 0.0], [0.5, 0.25]]))
    assert np.array_equal(crops[0], photos[1, 52:, :28])
    assert np.array_equal(crops[1], photos[0, 26:54, 57:85])
    for name, value in (("part", "out"), ("other", "bag"), ("correlation", 1.5)):
        with pytest.raises(ParamsError, match="spurious_fashion"):
            next(spurious_fashion.samples("train", {}, {**spurious_fashion.PARAMS, name: value}))
