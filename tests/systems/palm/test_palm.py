"""PALM and CIDER: every step against its equation, written out; what is stored of a trained net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from makers import training_jobs
from shiftbench import plugins
from shiftbench.errors import ParamsError
from shiftbench.inference import nets
from shiftbench.stages.train import train_weights
from shiftbench.systems.palm.losses import (
    _sinkhorn,
    dispersion,
    palm_mle,
    prototype_contrast,
)
from shiftbench.systems.palm.trainers import _prototypes, cider, palm
from shiftbench.systems.palm.trainers._prototypes import Prototypes

CLASSES, EACH, WIDTH, COUNT = 3, 4, 8, 30
OPTIONS = {**palm.PARAMS, "kept": 2, "momentum": 0.9}


def points_of(count: int, seed: int) -> torch.Tensor:
    return F.normalize(
        torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1
    )


LABELS = torch.arange(COUNT) % CLASSES
Z = points_of(COUNT, 1)


def mixture(each: int = EACH) -> Prototypes:
    torch.manual_seed(0)
    found = Prototypes(CLASSES, each, WIDTH)
    assert torch.equal(found.owners, torch.arange(CLASSES * each) % CLASSES)
    found.points.copy_(points_of(CLASSES * each, 2))
    return found


# --- assignments ------------------------------------------------------------------------------------


def published_sinkhorn(similarity: torch.Tensor, eps: float, rounds: int) -> torch.Tensor:
    """The released code's, by exponentials in float64."""
    mass = torch.exp(similarity.double() / eps).T
    mass = mass / mass.sum()
    for _ in range(rounds):
        mass = mass / mass.sum(1, keepdim=True) / len(mass)
        mass = mass / mass.sum(0, keepdim=True) / mass.shape[1]
    return (mass * mass.shape[1]).T


def test_assignments_are_the_published_ones_and_balanced_after_many_rounds() -> None:
    similarity = Z @ points_of(12, 2).T
    expected = published_sinkhorn(similarity, 0.05, 3)
    found = _sinkhorn.balanced(similarity, 0.05, 3)
    assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-9)
    settled = _sinkhorn.balanced(similarity, 0.5, 50)
    assert torch.allclose(settled.sum(1), torch.ones(COUNT), atol=1e-5)
    assert torch.allclose(settled.sum(0), torch.full((12,), COUNT / 12), atol=1e-4)


def test_assignments_overflow_in_no_precision() -> None:
    """Exp(20) is more than float16 holds."""
    similarity = torch.ones(4, 6, dtype=torch.float16)
    assert torch.allclose(_sinkhorn.balanced(similarity, 0.05, 3), torch.full((4, 6), 1 / 6))


def test_exactly_so_many_assignments_are_kept_and_none_of_no_mass_counts() -> None:
    weights = torch.rand(5, 7)
    weights[0] = 0
    mask = _prototypes.largest(weights, 3)
    assert torch.equal(mask.sum(1), torch.full((5,), 3.0))
    assert torch.equal(mask.unique(), torch.tensor([0.0, 1.0]))
    assert (weights[1:][mask[1:] == 0].max()) <= weights[1:][mask[1:] == 1].max()
    kept = _prototypes.shares(mask * weights)
    assert torch.allclose(kept.sum(1), torch.tensor([0.0, 1, 1, 1, 1]))


# --- one step, written out ----------------------------------------------------------------------------


def keep(row: torch.Tensor, count: int) -> torch.Tensor:
    """Zero all but the `count` largest of one row."""
    out = torch.zeros_like(row)
    for place in sorted(range(len(row)), key=lambda r: -float(row[r]))[:count]:
        out[place] = row[place]
    return out


def literal_step(z: torch.Tensor, points: torch.Tensor, form: str, contrast: float) -> Any:
    """Steps 1 to 6, sample by sample and prototype by prototype; returns the loss and the moved points."""
    kept, momentum, tau = OPTIONS["kept"], OPTIONS["momentum"], OPTIONS["temperature"]
    owners = [r % CLASSES for r in range(len(points))]

    def assigned(to: torch.Tensor) -> torch.Tensor:
        return published_sinkhorn(
            z.detach() @ to.detach().T, OPTIONS["eps"], OPTIONS["rounds"]
        ).float()

    q = assigned(points)
    own = torch.stack([
        torch.tensor([q[i, r] if owners[r] == LABELS[i] else 0.0 for r in range(len(points))])
        for i in range(len(z))
    ])  # fmt: skip
    pruned = torch.stack([keep(row, kept) for row in own])
    update = pruned / pruned.sum(1, keepdim=True)
    update = update / update.sum(0, keepdim=True).clamp(min=1e-12)
    new = [
        momentum * points[r] + (1 - momentum) * (update[:, r, None] * z).sum(0)
        for r in range(len(points))
    ]
    new = torch.stack([p / p.norm() for p in new])
    q = assigned(new)
    logits = z @ new.detach().T / tau
    terms = []
    for i in range(len(z)):
        if form == "code":
            places = keep(update[i], kept) > 0
            weights = torch.where(places, q[i], torch.zeros_like(q[i]))
            terms.append((weights / weights.sum() * logits[i]).sum() - logits[i].exp().sum().log())
        else:
            by_class = {}
            for c in range(CLASSES):
                row = keep(
                    torch.tensor([q[i, r] if owners[r] == c else 0.0 for r in range(len(points))]),
                    kept,
                )
                by_class[c] = (row / row.sum() * logits[i].exp()).sum()
            terms.append((by_class[int(LABELS[i])] / sum(by_class.values())).log())
    loss = -torch.stack(terms).mean()
    if contrast:
        loss = loss + contrast * literal_contrast(new, owners, 0.5)
    return loss, new.detach()


def literal_contrast(points: torch.Tensor, owners: list[int], temperature: float) -> torch.Tensor:
    terms = []
    for r in range(len(points)):
        others = [s for s in range(len(points)) if s != r]
        similar = {s: points[r] @ points[s] / temperature for s in others}
        same = [similar[s] for s in others if owners[s] == owners[r]]
        near = sum(same) / len(same) if same else torch.tensor(0.0)
        terms.append(near - torch.stack(list(similar.values())).exp().sum().log())
    return -torch.stack(terms).mean()


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize("contrast", [0.0, 1.0])
def test_a_step_is_the_one_written_out_and_so_is_its_gradient(form: str, contrast: float) -> None:
    ours, theirs = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    state = mixture()
    expected, moved = literal_step(theirs, state.points.clone(), form, contrast)
    loss = palm.step(state, ours, LABELS, {**OPTIONS, "form": form, "contrast": contrast})
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(state.points, moved, atol=1e-6)
    loss.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_prototypes_stay_on_the_sphere_and_have_neither_optimiser_nor_gradient() -> None:
    state, z = mixture(), Z.clone().requires_grad_()
    for _ in range(20):
        loss = palm.step(state, z, LABELS, OPTIONS)
    assert torch.allclose(state.points.norm(dim=1), torch.ones(CLASSES * EACH), atol=1e-6)
    assert not list(state.parameters())
    assert not state.points.requires_grad
    loss.backward()
    assert state.points.grad is None


def test_the_likelihood_sees_prototypes_as_constants() -> None:
    """Its gradient is that with prototypes from elsewhere, of the same values."""
    state, z = mixture(), Z.clone().requires_grad_()
    palm.step(state, z, LABELS, {**OPTIONS, "contrast": 0.0, "form": "paper"}).backward()
    again = Z.clone().requires_grad_()
    balanced = _prototypes.assign(again, state.points, OPTIONS["eps"], OPTIONS["rounds"])
    every = _prototypes.within_classes(balanced, CLASSES, OPTIONS["kept"])
    logits = again @ state.points.clone().T / OPTIONS["temperature"]
    palm_mle.loss(logits, state.owned(LABELS) * every, every).backward()
    assert torch.allclose(z.grad, again.grad, atol=1e-7)


def test_one_prototype_for_each_class_is_cross_entropy_on_their_similarities() -> None:
    state = mixture(each=1)
    before = state.points.clone()
    loss = palm.step(state, Z, LABELS, {**OPTIONS, "kept": 1, "contrast": 0.0})
    means = torch.stack([Z[c == LABELS].mean(0) for c in range(CLASSES)])
    moved = F.normalize(0.9 * before + 0.1 * means, dim=1)
    assert torch.allclose(state.points, moved, atol=1e-6)
    assert loss.item() == pytest.approx(F.cross_entropy(Z @ moved.T / 0.1, LABELS).item(), rel=1e-5)


def test_both_likelihoods_agree_when_one_assignment_has_all_the_mass() -> None:
    logits = Z @ points_of(CLASSES, 2).T / 0.1
    own = F.one_hot(LABELS, CLASSES).float()
    code = palm_mle.loss(logits, own)
    assert palm_mle.loss(logits, own, torch.ones_like(own)).item() == pytest.approx(
        code.item(), rel=1e-6
    )
    values = [
        palm.step(mixture(each=1), Z, LABELS, {**OPTIONS, "kept": 1, "form": form}).item()
        for form in palm.FORMS
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    spread = torch.full((COUNT, CLASSES), 1 / CLASSES)
    assert palm_mle.loss(logits, spread) > palm_mle.loss(logits, spread, torch.ones_like(own))


def test_the_contrast_with_single_prototypes_has_the_published_gradient() -> None:
    """The released code subtracts the row's largest from the logits and not from the mean of nothing: a constant."""
    points, owners = points_of(CLASSES, 4).requires_grad_(), torch.arange(CLASSES)
    prototype_contrast.loss(points, owners).backward()
    again = points.detach().clone().requires_grad_()
    literal_contrast(again, owners.tolist(), 0.5).backward()
    assert torch.allclose(points.grad, again.grad, atol=1e-6)


# --- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", ["palm", "cider"])
def test_a_trained_net_is_its_model_and_its_head_a_probe_that_is_right(trainer: str) -> None:
    plain = {
        "flip": False,
        "crop": [0.9, 1.0],
        "momentum": 0.9,
        "lr": 0.05,
    }  # quadrants are the classes
    job = training_jobs.job("convnet", trainer, epochs=6, batch_size=16, projection=16, **plain)
    state, log = train_weights(job)
    net = plugins.find("models", "convnet").build(job.model_params, 4)
    net.load_state_dict(state)
    samples = training_jobs.pictures(40, seed=2)
    inputs = nets.prepare(job.plugin, samples, job.model_params)
    hits = net.eval()(torch.from_numpy(inputs)).argmax(1).numpy() == np.arange(40) % 4
    assert hits.mean() > 0.9
    values = {name: value for _, name, value in log}
    assert set(values) == {"train_loss", "val_accuracy", "probe_accuracy", "c"}
    assert values["val_accuracy"] > 0.7


@pytest.mark.parametrize(
    ("option", "value"), [("form", "codes"), ("prototypes", 0), ("momentum", 1.0)]
)
def test_an_option_out_of_range_is_named(option: str, value: Any) -> None:
    with pytest.raises(ParamsError, match=rf"palm: {option} = "):
        train_weights(training_jobs.job("convnet", "palm", **{option: value}))


# --- CIDER --------------------------------------------------------------------------------------------


def test_ciders_prototypes_follow_sample_after_sample() -> None:
    labels = torch.tensor([0, 0, 2, 1, 0, 2])
    z, points = points_of(6, 5).requires_grad_(), points_of(CLASSES, 6)
    found = cider.followed(points, z, labels, 0.7)
    literal = list(points)
    for sample, label in zip(z, labels.tolist(), strict=True):
        moved = 0.7 * literal[label] + 0.3 * sample
        literal[label] = moved / moved.norm()
    expected = torch.stack(literal)
    assert torch.allclose(found, expected, atol=1e-6)
    ours, theirs = (torch.autograd.grad(x.square()[:, 0].sum(), z)[0] for x in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_ciders_losses_are_the_equations() -> None:
    points = points_of(CLASSES, 6)
    terms = [
        np.log(
            np.mean([np.exp(float(points[i] @ points[j]) / 0.1) for j in range(CLASSES) if j != i])
        )
        for i in range(CLASSES)
    ]
    assert dispersion.loss(points, 0.1).item() == pytest.approx(np.mean(terms), rel=1e-5)
    state = mixture(each=1)
    options = {**cider.PARAMS, "dispersion": 0.0}
    loss = cider.step(state, Z, LABELS, options)
    expected = F.cross_entropy(Z @ state.points.T / 0.1, LABELS)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


# --- data ---------------------------------------------------------------------------------------------


def test_every_class_is_in_one_super_class() -> None:
    merged = plugins.find("datasets", "fashion_mnist_superclasses")
    members = [name for names in merged.MEMBERS.values() for name in names]
    assert sorted(members) == sorted(plugins.find("datasets", "fashion_mnist").CLASSES)
