"""Projected gradient descent and training with it; training with noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.plugins.trainers import _attack, _loop, noise_augmentation
from shiftbench.workflow.stages.train import train_weights

CONVNET = registry.find("models", "convnet")
BALL = {"eps": 0.1, "steps": 3, "step": 0.04}


def words() -> RandomStream:
    return RandomStream(0, "test", "d", "k")


def batch() -> tuple[np.ndarray, torch.Tensor]:
    samples = training_jobs.pictures(8)
    return CONVNET.prepare_batch(samples, defaults(CONVNET)), torch.tensor(
        [sample.fields["label"] for sample in samples]
    )


def net() -> torch.nn.Module:
    return _loop.fresh_net(training_jobs.job("convnet", "pgd"))


def test_an_attack_is_its_equation_written_out() -> None:
    (images, labels), found = batch(), net().eval()
    uniform = words().uniform(images.shape)
    x = np.clip(images + (2 * uniform - 1) * 25.5, 0, 255).astype(np.float32)
    for _ in range(3):
        at = torch.tensor(x, requires_grad=True)
        losses = -found(at).log_softmax(1)[range(8), labels]
        losses.sum().backward()
        x = x + 0.04 * 255 * np.sign(at.grad.numpy())
        x = np.clip(np.clip(x, images - 25.5, images + 25.5), 0, 255).astype(np.float32)
    made = _attack.Attack(CONVNET, BALL)(found, images, labels, words())
    assert np.abs(made.numpy() - x).max() < 1e-3
    assert np.abs(made.numpy() - images).max() <= 25.5 + 1e-3


def test_an_attack_raises_the_loss_and_leaves_the_net_as_it_was() -> None:
    (images, labels), found = batch(), net()
    before = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    attack = _attack.Attack(CONVNET, {"eps": 0.2, "steps": 5, "step": None})
    attacked = attack(found, images, labels, words())
    assert attack.step == pytest.approx(0.1)
    assert found.training
    assert all(torch.equal(before[name], tensor) for name, tensor in found.state_dict().items())
    assert all(parameter.grad is None for parameter in found.parameters())
    found.eval()
    clean, worse = (torch.nn.functional.cross_entropy(found(x), labels) for x in (torch.from_numpy(images), attacked))
    assert worse > clean


def test_what_cannot_be_attacked_is_said() -> None:
    with pytest.raises(ParamsError, match="eps"):
        _attack.Attack(CONVNET, {**BALL, "eps": -0.1})
    with pytest.raises(ParamsError, match="step"):
        _attack.Attack(CONVNET, {**BALL, "step": 0.0})
    with pytest.raises(ModelError, match="INPUT_RANGE"):
        _attack.limits(CONVNET, batch()[0].astype(np.float32))


def test_adversarial_training_without_reach_is_that_of_erm() -> None:
    plain = train_weights(training_jobs.job("convnet", "erm", epochs=1))[0]
    job = training_jobs.job("convnet", "pgd", epochs=1, eps=0.0, steps=0)
    job = replace(job, trainer="erm")  # the name keys the order of samples
    found = registry.find("trainers", "pgd").train(job)
    assert all(torch.allclose(plain[name], found[name], atol=1e-6) for name in plain)


def test_noise_has_a_deviation_of_its_own_for_each_image() -> None:
    images = np.zeros((200, 1, 28, 28), np.float32)
    noisy = noise_augmentation.noise(images, words(), 76.5)
    deviations = noisy.std(axis=(1, 2, 3))
    assert deviations.max() < 80
    assert abs(deviations.mean() - 76.5 / 2) < 5
