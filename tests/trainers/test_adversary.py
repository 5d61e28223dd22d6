"""The adversary of classifiers: points within a ball of pictures, adversarial training, accuracy at the worst point."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.plugins.analyses import adversarial_accuracy
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.trainers import _loop
from shiftbench.plugins.trainers._adversary import Adversary
from shiftbench.workflow.stages.train import train_weights

CONVNET = registry.find("models", "convnet")
OPTIONS = defaults(registry.find("trainers", "adversarial"))


def words() -> RandomStream:
    return RandomStream(0, "test", "d", "k")


def batch() -> tuple[np.ndarray, torch.Tensor]:
    samples = training_jobs.pictures(8)
    labels = torch.tensor([sample.fields["label"] for sample in samples])
    return CONVNET.prepare_batch(samples, defaults(CONVNET)), labels


def net() -> torch.nn.Module:
    return _loop.fresh_net(training_jobs.job("convnet", "adversarial"))


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 1.0)])
def test_an_attack_is_the_packages_loop_written_out(norm: str, eps: float) -> None:
    """Steps from the picture itself in the scale of 0 to 1, projected to ball and box; the best of all points."""
    (images, labels), found = batch(), net().eval()
    clean = torch.from_numpy(images).float() / 255
    x, most, best = clean, torch.full((8,), -1.0), clean.clone()
    for number in range(4):
        x = x.detach().requires_grad_()
        losses = F.cross_entropy(found(x * 255), labels, reduction="none")
        (gradient,) = torch.autograd.grad(losses.mean(), x)
        best[losses > most] = x.detach()[losses > most]
        most = most.maximum(losses.detach())
        if number == 3:
            break
        lengths = gradient.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
        move = gradient.sign() if norm == "linf" else gradient / lengths
        away = x.detach() + 0.4 * eps * move - clean
        away = away.clamp(-eps, eps) if norm == "linf" else away.renorm(2, 0, eps)
        x = (clean + away).clamp(0, 1)
    options = {**OPTIONS, "norm": norm, "eps": eps, "steps": 3, "step": 0.4 * eps}
    model = net()
    made = Adversary(CONVNET, options)(model, images, labels, words())
    assert (made / 255 - best).abs().max() < 1e-4
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_searches_and_starts_differ_and_stay_within_reach() -> None:
    (images, labels), model = batch(), net()
    made = {
        (search, start): Adversary(CONVNET, {**OPTIONS, "search": search, "random_start": start, "steps": 5})(
            model, images, labels, words()
        )
        for search in ("pgd", "apgd")
        for start in (True, False)
    }
    for found in made.values():
        assert (found - torch.from_numpy(images)).abs().max() <= 0.05 * 255 + 1e-3
        assert 0 <= found.min() <= found.max() <= 255
    assert len({found.numpy().tobytes() for found in made.values()}) == 4


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"norm": "l1"}, "norm = 'l1'"),
        ({"search": "fgsm"}, "search = 'fgsm'"),
        ({"eps": -0.1}, "eps = -0.1"),
        ({"step": 0.0}, "step = 0.0"),
    ],
)
def test_what_cannot_be_attacked_is_said(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        Adversary(CONVNET, {**OPTIONS, **wrong})


def test_without_reach_it_is_erm_and_with_it_is_not() -> None:
    plain = train_weights(training_jobs.job("convnet", "erm", epochs=1))[0]
    for eps, same in ((0.0, True), (0.1, False)):
        job = training_jobs.job("convnet", "adversarial", epochs=1, eps=eps, steps=2)
        job = replace(job, trainer="erm")  # the name keys the order of samples
        found = registry.find("trainers", "adversarial").train(job)
        near = all(torch.allclose(plain[name], found[name], atol=1e-6) for name in plain)
        assert near == same


def test_accuracy_at_the_worst_point_is_of_each_net(tmp_path: Path) -> None:
    """Without reach it is accuracy; adversarial training withstands more of the same attack."""
    samples = training_jobs.pictures(40, seed=5)
    tested = refs.shards("tiny", "test")
    fields = registry.find("tasks", "classification").FIELDS
    shards.write(samples, tmp_path, fields, {"classes": list(training_jobs.CLASSES)}, 10**9)
    inputs: dict[Ref, Path] = {tested: tmp_path / "manifest.json"}
    names = {"erm": "tiny/convnet-erm-s0", "adversarial": "tiny/convnet-adversarial-s0"}
    for trainer, name in names.items():
        own = {"eps": 0.15, "steps": 3} if trainer == "adversarial" else {}
        state = train_weights(training_jobs.job("convnet", trainer, epochs=8, batch_size=16, **own))[0]
        inputs[Ref("checkpoints", name)] = training_jobs.write(tmp_path / f"{trainer}.safetensors", state)

    def accuracies(**options: Any) -> dict[str, float]:
        params = {
            **defaults(adversarial_accuracy),
            "dataset": "tiny",
            "split": "test",
            "checkpoints": list(names.values()),
            **options,
        }
        assert set(adversarial_accuracy.needs(params)) == set(inputs)
        models = {name: {"use": "convnet", "options": defaults(CONVNET)} for name in names.values()}
        rows = list(adversarial_accuracy.measure(Measurement(params, inputs, 0, models)))
        assert {row.group for row in rows} == {f"pgd_linf_{params['eps']:g}"}
        found = {name: [row.value for row in rows if row.model == name] for name in names.values()}
        assert all(len(values) == min(40, params["samples"]) for values in found.values())
        return {trainer: float(np.mean(found[name])) for trainer, name in names.items()}

    assert accuracies(eps=0.0) == {"erm": 1.0, "adversarial": 1.0}
    worst = accuracies(eps=0.15)
    assert worst["erm"] < worst["adversarial"] - 0.2
    accuracies(eps=0.1, samples=10)
