"""PALM and CIDER: every step against its equation, written out; what is stored of a trained net."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors import ssd_plus
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.systems.palm.losses.prototypes import dispersion, palm_mle, prototype_contrast
from shiftbench.systems.palm.trainers import _prototypes, cider, palm
from shiftbench.systems.palm.trainers._prototypes import Prototypes
from shiftbench.workflow.stages.train import train_weights

CLASSES, EACH, WIDTH, COUNT = 3, 4, 8, 30
OPTIONS = {**defaults(palm), "kept": 2, "momentum": 0.9}


def points_of(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1)


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
    found = _prototypes.balanced(similarity, 0.05, 3)
    assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-9)
    settled = _prototypes.balanced(similarity, 0.5, 50)
    assert torch.allclose(settled.sum(1), torch.ones(COUNT), atol=1e-5)
    assert torch.allclose(settled.sum(0), torch.full((12,), COUNT / 12), atol=1e-4)


def test_assignments_overflow_in_no_precision() -> None:
    """Exp(20) is more than float16 holds."""
    similarity = torch.ones(4, 6, dtype=torch.float16)
    assert torch.allclose(_prototypes.balanced(similarity, 0.05, 3), torch.full((4, 6), 1 / 6))


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
        return published_sinkhorn(z.detach() @ to.detach().T, OPTIONS["eps"], OPTIONS["rounds"]).float()

    q = assigned(points)
    own = torch.stack([
        torch.tensor([q[i, r] if owners[r] == LABELS[i] else 0.0 for r in range(len(points))])
        for i in range(len(z))
    ])  # fmt: skip
    pruned = torch.stack([keep(row, kept) for row in own])
    update = pruned / pruned.sum(1, keepdim=True)
    update = update / update.sum(0, keepdim=True).clamp(min=1e-12)
    new = [momentum * points[r] + (1 - momentum) * (update[:, r, None] * z).sum(0) for r in range(len(points))]
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
                row = keep(torch.tensor([q[i, r] if owners[r] == c else 0.0 for r in range(len(points))]), kept)
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
    palm_mle(logits, state.owned(LABELS) * every, every).backward()
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
    code = palm_mle(logits, own)
    assert palm_mle(logits, own, torch.ones_like(own)).item() == pytest.approx(code.item(), rel=1e-6)
    values = [palm.step(mixture(each=1), Z, LABELS, {**OPTIONS, "kept": 1, "form": form}).item() for form in palm.FORMS]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    spread = torch.full((COUNT, CLASSES), 1 / CLASSES)
    assert palm_mle(logits, spread) > palm_mle(logits, spread, torch.ones_like(own))


def test_the_contrast_with_single_prototypes_has_the_published_gradient() -> None:
    """The released code subtracts the row's largest from the logits and not from the mean of nothing: a constant."""
    points, owners = points_of(CLASSES, 4).requires_grad_(), torch.arange(CLASSES)
    prototype_contrast(points, owners).backward()
    again = points.detach().clone().requires_grad_()
    literal_contrast(again, owners.tolist(), 0.5).backward()
    assert torch.allclose(points.grad, again.grad, atol=1e-6)


# --- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", ["palm", "cider"])
def test_a_trained_net_is_its_model_and_its_head_a_probe_that_is_right(trainer: str) -> None:
    plain = {"flip": False, "crop": [0.9, 1.0], "momentum": 0.9, "lr": 0.05}  # quadrants are the classes
    job = training_jobs.job("convnet", trainer, epochs=6, batch_size=16, projection=16, **plain)
    state, log = train_weights(job)
    net = registry.find("models", "convnet").build(job.model_params, 4)
    net.load_state_dict(state)
    samples = training_jobs.pictures(40, seed=2)
    inputs = nets.prepare(job.plugin, samples, job.model_params)
    hits = net.eval()(torch.from_numpy(inputs)).argmax(1).numpy() == np.arange(40) % 4
    assert hits.mean() > 0.9
    values = {name: value for _, name, value in log}
    assert set(values) == {"train_loss", "val_accuracy", "probe_accuracy", "c"}
    assert values["val_accuracy"] > 0.7


@pytest.mark.parametrize(("option", "value"), [("form", "codes"), ("prototypes", 0), ("momentum", 1.0)])
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


def literal_cider(
    z: torch.Tensor, labels: torch.Tensor, points: torch.Tensor, weight: float, momentum: float, base: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The released rule, sample by sample: prototypes follow, w x 0.1 / base x compactness + dispersion."""
    followed = list(points)
    for sample, label in zip(z, labels.tolist(), strict=True):
        moved = momentum * followed[label] + (1 - momentum) * sample
        followed[label] = moved / moved.norm()
    fixed = torch.stack(followed).detach()
    compact = [
        (sample @ fixed.T / 0.1).exp().sum().log() - sample @ fixed[label] / 0.1
        for sample, label in zip(z, labels.tolist(), strict=True)
    ]
    apart = [
        torch.stack([(followed[i] @ followed[j] / 0.1).exp() for j in range(len(points)) if j != i]).mean().log()
        for i in range(len(points))
    ]
    loss = weight * 0.1 / base * torch.stack(compact).mean() + torch.stack(apart).mean()
    return loss, fixed


@pytest.mark.parametrize(("weight", "momentum", "base"), [(2.0, 0.95, 0.07), (1.0, 0.5, 0.07), (2.0, 0.95, 0.1)])
def test_a_step_of_cider_is_the_released_one_and_so_is_its_gradient(
    weight: float, momentum: float, base: float
) -> None:
    state, options = mixture(each=1), dict(defaults(cider))
    options |= {"compactness": weight, "momentum": momentum, "base_temperature": base}
    ours, theirs = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    expected, moved = literal_cider(theirs, LABELS, state.points.clone(), weight, momentum, base)
    loss = cider.step(state, ours, LABELS, options)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(state.points, moved, atol=1e-6)
    loss.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
    apart = dispersion(state.points, 0.1)
    assert abs(apart.item()) > 0.1  # or nobody would see it


# --- golden numbers of the released code, every term on ------------------------------------------------


def wave(rows: int, speed: float) -> torch.Tensor:
    """Return points of length 1 that anybody can make again."""
    steps = torch.arange(1, rows * WIDTH + 1, dtype=torch.float64)
    return F.normalize(torch.sin(speed * steps).reshape(rows, WIDTH), dim=1).float()


RELEASED_CIDER = {  # (compactness, momentum): loss and sum of the sizes of its gradient, of three steps
    (2.0, 0.95): [(14.8619003, 48.4593506), (5.2786679, 14.4801950), (8.6434212, 54.1566238)],
    (1.0, 0.5): [(7.2829037, 75.5724945), (-3.6790690, 34.7917824), (5.8753958, 157.7258453)],
}
"""`CompLoss` and `DisLoss` of deeplearning-wisc/cider at dce8ad3, run on the CPU on the points below."""
RELEASED_PALM = {  # (prototypes, kept)
    (4, 2): [(5.3490777, 11.8817244), (5.0555325, 9.7161179), (5.3922033, 10.0669136)],
    (6, 5): [(6.0482855, 10.4728775), (5.8375645, 8.9258251), (6.2345939, 8.2077751)],
}
"""`PALM` of jeff024/PALM, momentum 0.9, likewise."""


def three_steps(state: Prototypes, step: Any, options: dict[str, Any]) -> list[tuple[float, float]]:
    """Return loss and size of the gradient of three steps on 12 images, two views each."""
    state.points.copy_(wave(len(state.points), 0.7))
    labels, found = (torch.arange(12) % CLASSES).repeat(2), []
    for number in range(3):
        z = wave(24, 0.3 + number).requires_grad_()
        loss = step(state, z, labels, options)
        loss.backward()
        found.append((loss.item(), z.grad.abs().sum().item()))
    return found


def test_three_steps_of_cider_give_the_released_numbers() -> None:
    for (weight, momentum), expected in RELEASED_CIDER.items():
        options = {"compactness": weight, "momentum": momentum, "base_temperature": 0.07}
        found = three_steps(mixture(each=1), cider.step, {**defaults(cider), **options})
        assert np.allclose(found, expected, rtol=2e-5)


def test_three_steps_of_palm_give_the_released_numbers() -> None:
    for (each, kept), expected in RELEASED_PALM.items():
        found = three_steps(mixture(each), palm.step, {**OPTIONS, "kept": kept})
        assert np.allclose(found, expected, rtol=2e-5)


# --- the released weights -------------------------------------------------------------------------------


def encoder() -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a small net, and its state as PALM's `PALMResNet` and CIDER's net have it: encoder and projection."""
    model = registry.find("models", "resnet18_32x32")
    torch.manual_seed(4)
    net = model.build({**defaults(model), "depths": [1, 1, 1, 1]}, 4)
    body = {name: t for name, t in net.state_dict().items() if not name.startswith("head.")}
    projection = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128))
    released = {f"encoder.{name}": t for name, t in body.items()}
    return net.eval(), released | {f"head.{name}": t for name, t in projection.state_dict().items()}


def test_released_weights_load_and_are_scored_by_the_released_rule(tmp_path: Path) -> None:
    net, released = encoder()
    ciders = {**released, "fc.weight": torch.ones(4, 512), "fc.bias": torch.ones(4)}  # never trained there
    torch.save(released, tmp_path / "CIFAR-100-resnet34-top5-palm-cache6-ema0.999.pt")
    torch.save({"epoch": 500, "state_dict": ciders}, tmp_path / "checkpoint_500.pth.tar")
    for file in sorted(tmp_path.iterdir()):
        options = {"depths": [1, 1, 1, 1], "size": 16}
        job = training_jobs.job("resnet18_32x32", "given", model_params=options, path=str(file))
        state, _ = train_weights(job)
        found = job.plugin.build(job.model_params, 4)
        nets.load_into(found, state, file)
        images = torch.randint(0, 256, (60, 3, 16, 16), dtype=torch.uint8)
        with torch.inference_mode():
            assert torch.equal(found.eval().features(images), net.features(images))
            assert not found(images).any()
            features = found.features(images).numpy()
    train, tested = features[:40, :12] ** 2, features[40:, :12]  # fewer features than samples
    rows = [Rows(pa.table({"key": [str(n) for n in range(len(part))]}), part) for part in (train, tested)]
    for quirk in (True, False):
        params = {**defaults(ssd_plus), "quirk": quirk}
        scores = ssd_plus.score(rows[1], ssd_plus.fit(Known({"train": rows[0]}), params), params)
        assert np.allclose(scores, -released_ssd(train, tested, quirk), rtol=1e-4)


def released_ssd(train: Any, tested: Any, quirk: bool) -> Any:
    """`eval_maha` of the authors' `util/evaluations/mahalanobis.py`, in float64; without the quirk the mean is 0."""
    unit = lambda x: x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)  # noqa: E731
    train, tested = unit(train.astype(np.float64)), unit(tested.astype(np.float64))
    mean, deviation = train.mean(0), train.std(0)
    standard = lambda x: (x - mean) / (deviation + 1e-10)  # noqa: E731
    inverse = np.linalg.pinv(np.cov(standard(train).T, bias=True))
    z = standard(tested) - (mean if quirk else 0)
    return -np.sum(z * (inverse @ z.T).T, axis=-1)


# --- data ---------------------------------------------------------------------------------------------


def test_every_class_is_in_one_super_class() -> None:
    merged = registry.find("datasets", "fashion_mnist_superclasses")
    members = [name for names in merged.MEMBERS.values() for name in names]
    assert sorted(members) == sorted(registry.find("datasets", "fashion_mnist").CLASSES)
