"""ASCOOD: the loss and training, the head, the search of an option."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from makers.small_nets import batch, small_net
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.detectors import _gradients, energy, iodin, scale
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.ascood.analyses import released_scores
from shiftbench.systems.ascood.detectors import scale_mixed
from shiftbench.systems.ascood.methods import raw_features
from shiftbench.systems.ascood.models import standardised
from shiftbench.systems.ascood.trainers import _attribution, ascood
from shiftbench.workflow.stages.detector_context import check_head
from shiftbench.workflow.stages.score import score_cell
from shiftbench.workflow.stages.train import train_weights

# --- the loss and training --------------------------------------------------------------------------


def test_the_loss_is_cross_entropy_and_weighted_kl_over_one_batch() -> None:
    job = training_jobs.job("convnet", "ascood", type="shuffle", weight=0.3, shift=0)
    net = _loop.fresh_net(job)
    loss = ascood.Loss(job)
    loss.begin(net)
    inputs, labels = _loop.data(job, "train")
    found = loss(net, inputs[:8], labels[:8], RandomStream(0, "ascood", "test", "0"))
    x = torch.from_numpy(inputs[:8]).float()
    scale_ = _attribution.Scale.of((torch.tensor(0.0), torch.tensor(255.0)), 0.5, 0.5)
    twin = _loop.fresh_net(job)  # whose normalisation has seen nothing
    views = _attribution.damage(
        twin, x, labels[:8], RandomStream(0, "ascood", "test", "0"), scale_, {**job.params, "alpha": 1.0}
    )
    p = twin.train()(torch.cat([x, views.images])).softmax(1).double().detach()
    told = -sum(math.log(p[n, labels[n]]) for n in range(8)) / 8
    kl = sum(0.25 * math.log(0.25 / p[8 + n, c]) for n in range(8) for c in range(4)) / 8
    assert found.item() == pytest.approx(told + 0.3 * kl, abs=1e-5)


@pytest.mark.parametrize("options", [{"type": "shuffle"}, {"kl": False}, {"type": "gaussian"}])
def test_training_repeats_and_its_weights_fit_the_net(options: dict[str, Any]) -> None:
    jobs = [training_jobs.job("standardised", "ascood", epochs=1, batch_size=16, **options) for _ in range(2)]
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
    job = training_jobs.job("standardised", "ascood", epochs=6, batch_size=16, type="shuffle", p_inv=0.5)
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
    start = refs.checkpoint("tiny", "standardised", "erm", 0)
    context = {"dataset": "tiny", "model": "standardised", "seed": 0}
    assert start in ascood.needs({**defaults(ascood), "start": "erm", **context})
    job = training_jobs.job("standardised", "ascood", inputs={start: file}, epochs=1, lr=0.0)
    found, _ = train_weights(job)
    assert torch.equal(found["head.weight"], state["head.weight"])


# --- the head ---------------------------------------------------------------------------------------


def a_net(space: str) -> nn.Module:
    torch.manual_seed(3)
    made_: nn.Module = standardised.build({**defaults(standardised), "space": space}, 4)
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
    inner = registry.find("models", "convnet")
    state = inner.build(defaults(inner), 4).state_dict()
    nets.load_into(net, net.adopt(state), "the inner net's")
    assert net.adopt(net.state_dict()).keys() == net.state_dict().keys()
    with pytest.raises(ParamsError, match="zscor"):
        standardised.build({**defaults(standardised), "space": "zscor"}, 4)


def test_released_checkpoints_load_with_their_sigma() -> None:
    """The layout of the authors' `ASCOODNet`: `backbone.` with its `fc`, and the buffer `sigma`."""
    options = {"net": "resnet18_32x32", "options": {"depths": [1, 1, 1, 1]}, "space": "zscore"}
    net: Any = standardised.build({**defaults(standardised), **options}, 4)
    inner = registry.find("models", "resnet18_32x32")
    own = inner.build({**defaults(inner), **options["options"]}, 4).state_dict()  # type: ignore[dict-item]
    released = {f"backbone.{name.replace('head.', 'fc.')}": tensor for name, tensor in own.items()} | {
        "sigma": torch.tensor(0.5)
    }
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
    context = {"benchmark": "c", "dataset": "d", "split": "test", "checkpoints": ["d/m-t-s0", "d/m-t-s1"]}
    options = {"path": str(file), "detector": "scale_mixed", "names": {"nearood": "near", "tin": "tin"}}
    job = Measurement({**defaults(released_scores), **options, **context}, {}, 0, {})
    rows = list(released_scores.measure(job))
    assert len(rows) == 2 * 3 * 2
    near = {row.metric: row.value for row in rows if row.dataset == "near"}
    assert near == pytest.approx({"published_auroc": 0.9243, "published_fpr95": 0.2917, "published_accuracy": 0.95})
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
        released_scores.read_scores(file)


def rows_of(predictor: Any, samples: list[Sample], head: Head | None) -> Rows:
    found = predictor(samples)
    table = pa.table({"key": [sample.key for sample in samples]})
    again = SimpleNamespace(
        module=predictor.net,
        each=lambda f: iter(
            [tuple(t.detach().double().numpy() for t in f(torch.from_numpy(predictor.prepare(samples))))]
        ),
    )
    return Rows(table, found["features"], found["logits"], head, again, "tiny")  # type: ignore[arg-type]


def test_detectors_see_the_features_that_the_method_names() -> None:
    net: Any = a_net("zscore")
    samples = training_jobs.pictures(12)
    predictor = nets.TorchPredictor(net, standardised, defaults(standardised), "cpu")
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
    scaled, energies = (score_cell(one, {}, plain, Known())["score"].to_numpy() for one in (scale, energy))
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


# --- the search of an option of training ------------------------------------------------------------


def test_the_candidate_that_knows_validation_ood_best_is_taken(tmp_path: Path) -> None:
    states = [train_weights(training_jobs.job("convnet", "erm", epochs=n))[0] for n in (1, 6)]
    inputs = {
        refs.checkpoint("tiny", "convnet", name, 0): training_jobs.write(tmp_path / name, state)
        for name, state in zip(("weak.safetensors", "strong.safetensors"), states, strict=True)
    }
    grey = [Sample(f"grey/val/{n:02d}", {"image": np.full((28, 28), 90 + n, np.uint8), "label": 0}) for n in range(12)]
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
    needed = registry.find("trainers", "searched").needs(
        {**job.params, "dataset": "tiny", "model": "convnet", "seed": 0}
    )
    assert refs.shards("grey", "val") in needed
    assert refs.checkpoint("tiny", "convnet", "strong", 0) in needed
    with pytest.raises(ParamsError, match="needs more than logits"):
        train_weights(training_jobs.job("convnet", "searched", **options, detector="knn"))
