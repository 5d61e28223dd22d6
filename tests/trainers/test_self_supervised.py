"""Self-supervised training: each loss against the released rule in NumPy; target, queue and schedules; no collapse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from scipy.special import log_softmax, logsumexp, softmax
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import checkpoint
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.losses.self_supervised import (
    barlow_twins,
    byol,
    dino,
    moco_v3,
    nearest_neighbours,
    nnclr,
    nt_xent,
    ressl,
    vicreg,
)
from shiftbench.plugins.trainers import _ema, _self_supervised, _two_views, self_supervised
from shiftbench.plugins.trainers._queue import Queue
from shiftbench.plugins.trainers._self_supervised import METHODS, Learner
from shiftbench.workflow.stages.train import train_weights

Rows = NDArray[np.float64]
RANDOM = np.random.default_rng(5)
A, B, K = RANDOM.normal(1, 2, (3, 6, 5))
BANK = RANDOM.normal(size=(9, 5))
SMALL = {"hidden": 16, "projection": 8, "predicted": 16, "prototypes": 12, "queue": 10}


def units(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cross_entropy(logits: Rows) -> float:
    return float(np.mean(logsumexp(logits, axis=1) - np.diag(logits)))


def published_simclr(one: Rows, other: Rows, t: float) -> float:
    """Of `simclr_loss_func`: exp of products, positives by index, negatives by index."""
    z, index = units(np.concatenate([one, other])), np.tile(np.arange(len(one)), 2)
    sim = np.exp(z @ z.T / t)
    same = index[:, None] == index
    pos = (sim * (same & ~np.eye(len(z), dtype=bool))).sum(1)
    return float(-np.mean(np.log(pos / (pos + (sim * ~same).sum(1)))))


def published_barlow(one: Rows, other: Rows, lamb: float, scale: float) -> float:
    """Of `barlow_loss_func`: BatchNorm1d without weights, correlations over N, off-diagonal times lambda."""
    one, other = ((v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in (one, other))
    corr = np.einsum("bi,bj->ij", one, other) / len(one)
    cdif = (corr - np.eye(len(corr))) ** 2
    cdif[~np.eye(len(corr), dtype=bool)] *= lamb
    return float(scale * cdif.sum())


def published_vicreg(one: Rows, other: Rows) -> float:
    """Of `vicreg_loss_func` with 25, 25, 1."""
    std = sum(np.maximum(0, 1 - np.sqrt(v.var(0, ddof=1) + 1e-4)).mean() for v in (one / 8, other / 8))
    one, other = one / 8, other / 8
    cov = 0.0
    for view in (one, other):
        c = np.cov(view.T)
        cov += (c[~np.eye(len(c), dtype=bool)] ** 2).sum() / len(c)
    return float(25 * np.mean((one - other) ** 2) + 25 * std + cov)


def published_dino(student: list[Rows], teacher: list[Rows], centre: Rows, t: float) -> float:
    """Of `DINOLoss.forward` with two large crops."""
    total, terms = 0.0, 0
    for iq, q in enumerate(softmax((k - centre) / t, axis=1) for k in teacher):
        for iv, v in enumerate(student):
            if iv != iq:
                total += np.sum(-q * log_softmax(v / 0.1, axis=1), axis=1).mean()
                terms += 1
    return total / terms


def published_ressl(q: Rows, k: Rows, queue: Rows) -> float:
    """Of `ressl_loss_func` with 0.1 and 0.04."""
    asked, given = softmax(k @ queue.T / 0.04, axis=1), log_softmax(q @ queue.T / 0.1, axis=1)
    return float(-np.sum(asked * given, axis=1).mean())


def t(rows: Rows) -> torch.Tensor:
    return torch.from_numpy(rows)


def test_losses_are_the_released_ones() -> None:
    found = {
        "simclr": (nt_xent(t(A), t(B), 0.2), published_simclr(A, B, 0.2)),
        "moco_v3": (moco_v3(t(A), t(B), 0.2), 0.4 * published_query(A, B)),
        "byol": (byol(t(A), t(B)), published_byol(A, B)),
        "nnclr": (nnclr(t(A), t(B), 0.2), published_query(A, B)),
        "dino": (
            dino((t(A), t(B)), (t(K), t(A)), t(B[0]), student_t=0.1, teacher_t=0.05),
            published_dino([A, B], [K, A], B[0], 0.05),
        ),
        "ressl": (
            ressl(t(units(A)), t(units(B)), t(BANK), student_t=0.1, teacher_t=0.04),
            published_ressl(units(A), units(B), BANK),
        ),
        "vicreg": (vicreg(t(A / 8), t(B / 8), (25, 25, 1)), published_vicreg(A, B)),
        "barlow_twins": (barlow_twins(t(A), t(B), redundancy=0.0051, scale=0.1), published_barlow(A, B, 0.0051, 0.1)),
    }
    assert set(found) == set(METHODS)
    for name, (ours, theirs) in found.items():
        assert abs(ours.item() - theirs) < 1e-5, name
        assert theirs > 0.01, name


def test_targets_are_constants_and_neighbours_the_nearest() -> None:
    for loss in (
        lambda q, k: moco_v3(q, k, 0.2),
        byol,
        lambda q, k: ressl(q, k, t(BANK), student_t=0.1, teacher_t=0.04),
        lambda q, k: dino((q, q), (k, k), t(B[0]), student_t=0.1, teacher_t=0.04),
    ):
        given, asked = t(units(A)).requires_grad_(), t(units(B)).requires_grad_()
        loss(given, asked).backward()
        assert asked.grad is None
        assert given.grad.abs().max() > 0
    best = [max(range(9), key=lambda m: float(row @ BANK[m])) for row in A]
    assert np.array_equal(nearest_neighbours(t(A), t(BANK)), BANK[best])


def test_a_queue_forgets_the_oldest_and_a_batch_may_pass_its_end() -> None:
    torch.manual_seed(0)
    queue = Queue(5, 2)
    assert torch.allclose(queue.points.norm(dim=1), torch.ones(5))
    added = torch.arange(1.0, 9).repeat_interleave(2).reshape(8, 2)
    queue.add(added[:3])
    queue.add(added[3:7])
    assert queue.points[:, 0].tolist() == [6, 7, 3, 4, 5]
    queue.add(added[[0] * 4 + [1] * 5])
    assert queue.points[:, 0].tolist() == [2, 2, 2, 2, 2]


def test_a_target_follows_by_the_released_cosine() -> None:
    """MomentumUpdater: the first update has `first`, the update u that of `update_tau(u, steps)`."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    target = _ema.follower(net)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    kept, tau = target[0].weight.clone(), 0.9
    for update in range(4):
        with torch.no_grad():
            net[0].weight += 1
        m = _ema.momentum(update, 8, 0.9, 1.0)
        assert m == pytest.approx(tau)
        _ema.follow(target, net, m)
        kept = tau * kept + (1 - tau) * net[0].weight
        tau = 1.0 - (1.0 - 0.9) * (np.cos(np.pi * (update + 1) / 8) + 1) / 2
    assert torch.allclose(target[0].weight, kept)


def test_the_teachers_temperature_is_the_released_schedule() -> None:
    schedule = np.concatenate([np.linspace(0.04, 0.07, 5), np.full(3, 0.07)])
    found = [_self_supervised.teacher_temperature(epoch, (0.04, 0.07, 5)) for epoch in range(8)]
    assert found == pytest.approx(schedule)
    assert _self_supervised.teacher_temperature(0, (0.04, 0.07, 0)) == 0.07


def learner(method: str, **options: Any) -> Learner:
    torch.manual_seed(0)
    net = registry.find("models", "convnet").build({"width": 4, "norm": "batch", "features": 8}, 4)
    return Learner(net, defaults(self_supervised) | SMALL | {"method": method} | options, 100, 10)


def test_heads_are_the_released_ones() -> None:
    """Layers of projector and predictor, as solo-learn's modules of these names have them (resnets)."""
    linear, norm, relu = "Linear", "BatchNorm1d", "ReLU"
    mlp = [linear, norm, relu, linear]
    layers = {
        "simclr": ([linear, relu, linear], None),
        "moco_v3": ([*mlp, norm], mlp),
        "byol": (mlp, mlp),
        "dino": ([linear, "GELU", linear, "GELU", linear], None),
        "ressl": ([linear, relu, linear], None),
        "nnclr": ([linear, norm, relu, *mlp, norm], mlp),
        "vicreg": ([linear, norm, relu, *mlp], None),
        "barlow_twins": ([linear, norm, relu, *mlp], None),
    }
    for method, (projector, predictor) in layers.items():
        made = learner(method)
        own: Any = made.online.projector
        own = own[0] if method == "dino" else own
        assert [type(layer).__name__ for layer in own] == projector, method
        found = made.predictor and [type(layer).__name__ for layer in made.predictor]
        assert found == predictor, method
        assert (made.target is not None) == (method in ("moco_v3", "byol", "dino", "ressl"))
        assert (made.queue is not None) == (method in ("ressl", "nnclr"))
    moco: Any = learner("moco_v3")
    assert moco.online.projector[0].bias is None
    assert not moco.online.projector[-1].affine
    prototypes: Any = learner("dino").online.projector[1]
    logits = prototypes(torch.randn(3, 8))
    assert logits.shape == (3, 12)
    assert logits.abs().max() <= 1
    assert not prototypes.lengths.requires_grad
    free: Any = learner("dino", norm_prototypes=False)
    assert free.online.projector[1].lengths.requires_grad


def both_ways(loss: Callable[[Rows, Rows], float], given: list[Rows], asked: list[Rows]) -> float:
    return loss(given[0], asked[1]) + loss(given[1], asked[0])


def published_query(q: Rows, k: Rows) -> float:
    return cross_entropy(units(q) @ units(k).T / 0.2)


def published_byol(p: Rows, z: Rows) -> float:
    return float(2 - 2 * np.mean(np.sum(units(p) * units(z), axis=1)))


def released_steps(z: list[Rows], k: list[Rows], q: list[Rows], queue: Rows) -> dict[str, Any]:
    """Return what `training_step` of each method makes of projections, targets', predictions and a queue."""
    return {
        "simclr": lambda: published_simclr(*z, 0.2),
        "moco_v3": lambda: 0.4 * both_ways(published_query, q, k),
        "byol": lambda: both_ways(published_byol, q, k),
        "dino": lambda: published_dino(z, k, np.zeros(12), 0.04),
        "ressl": lambda: published_ressl(units(z[0]), units(k[1]), queue),
        "nnclr": lambda: both_ways(published_query, [nearest(v, queue) for v in z], q) / 2,
        "vicreg": lambda: published_vicreg(8 * z[0], 8 * z[1]),
        "barlow_twins": lambda: published_barlow(*z, 0.0051, 0.1),
    }


def nearest(view: Rows, queue: Rows) -> Rows:
    return queue[(units(view) @ queue.T).argmax(1)]


@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_the_released_one_on_what_the_nets_give(method: str) -> None:
    images = torch.randint(0, 256, (2, 6, 1, 28, 28), dtype=torch.uint8)
    made: Any = learner(method)
    z, k, q = outputs(made, images)
    queue = made.queue.points.double().numpy().copy() if made.queue else np.zeros((0, 8))
    wanted = released_steps(z, k, q, queue)[method]()
    assert made.loss(*images).item() == pytest.approx(wanted, abs=1e-5)
    if method == "dino":
        assert made.centre.numpy() == pytest.approx(0.1 * np.concatenate(k).mean(0), abs=1e-6)
    if made.queue:  # of NNCLR the first views, of ReSSL the targets of the second
        entered = units(z[0]) if method == "nnclr" else units(k[1])
        assert made.queue.points[:6].numpy() == pytest.approx(entered, abs=1e-5)


def outputs(made: Any, images: torch.Tensor) -> tuple[list[Rows], list[Rows], list[Rows]]:
    """Return projections, targets' projections and predictions of both views."""
    with torch.no_grad():
        z = [made.online(view) for view in images]
        k = [made.target(view) for view in images] if made.target else []
        q = [made.predictor(view) for view in z] if made.predictor else []
    return tuple([view.double().numpy() for view in views] for views in (z, k, q))  # type: ignore[return-value]


def test_prototypes_are_held_in_the_first_epoch_alone() -> None:
    made: Any = learner("dino")
    views = torch.randint(0, 256, (2, 6, 1, 28, 28), dtype=torch.uint8)
    for step in range(12):
        made.zero_grad()
        made.loss(*views).backward()
        made.held()
        held = made.online.projector[1].directions.grad is None
        assert held == (step < 10), step


@pytest.mark.parametrize("method", METHODS)
def test_fifty_steps_collapse_nothing_and_the_same_job_gives_the_same_bytes(method: str) -> None:
    job, log = short(method)
    first, _ = train_weights(job)
    assert log(job)["spread"] > 0.02
    assert set(first) == set(registry.find("models", "convnet").build(job.model_params, 4).state_dict())
    if method == "nnclr":
        torch.rand(7)
        again, _ = train_weights(short(method)[0])
        assert nets.state_bytes(first) == nets.state_bytes(again)


def test_without_what_holds_it_apart_vicreg_collapses() -> None:
    """Fifty steps on the same views: deviations shrink by invariance alone, and grow with all terms."""
    views = torch.randint(0, 256, (2, 32, 1, 28, 28), dtype=torch.uint8)
    found = {}
    for name, given in {"alone": [25.0, 0.0, 0.0], "all": [25.0, 25.0, 1.0]}.items():
        made = learner("vicreg", weights=given)
        update = torch.optim.Adam(made.parameters(), 0.01)
        before = deviation(made, views[0])
        for _ in range(50):
            update.zero_grad()
            made.loss(*views).backward()
            update.step()
        found[name] = deviation(made, views[0]) / before
    assert found["alone"] < 0.5
    assert found["all"] > 1.5


def deviation(made: Learner, images: torch.Tensor) -> float:
    with torch.no_grad():
        return float(made.online(images).std(0).mean())


def short(method: str, **options: Any) -> tuple[Any, Any]:
    """Return a job of fifty steps, and what reads the last value of each name in its log."""
    views = [{"crop": [0.5, 1.0], "noise": 5.0}]
    given = SMALL | {"epochs": 13, "batch_size": 16, "lr": 0.003, "views": views, "warmup": 0.1}
    small = {"width": 4, "features": 16}
    job = training_jobs.job("convnet", "self_supervised", model_params=small, method=method, **given | options)
    return job, lambda done: {name: value for _, name, value in done.rows}


# --- views ------------------------------------------------------------------------------------------


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


def test_blur_is_a_gaussian_and_solarisation_pillows() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 24, 20), dtype=np.uint8)
    deviations = np.array([0.1, 0.7, 1.3, 2.0], np.float32)
    found = _two_views.blurred(torch.from_numpy(images), deviations, 2.0).numpy().astype(int)
    for image, sigma, seen in zip(images, deviations, found, strict=True):
        wanted = gaussian_filter(image.astype(float), (0, sigma, sigma), mode="nearest", truncate=9)
        assert np.abs(seen - wanted).max() < 1.1
    whole = {"crop": [1.0, 1.0], "flip": False, "jitter_share": 0.0, "grey_share": 0.0}
    square = torch.from_numpy(images[..., :20, :])
    (rule, _) = _two_views.rules([{**whole, "solarise_share": 1.0}])
    seen = _two_views.view(square, words(), rule).numpy()
    for image, own in zip(square.numpy(), seen, strict=True):
        pillow = ImageOps.solarize(Image.fromarray(image.transpose(1, 2, 0)))
        assert np.array_equal(own.transpose(1, 2, 0), np.asarray(pillow))


def test_each_view_has_its_rule_and_shares_are_kept() -> None:
    assert _two_views.rules([{"noise": 1.0}]) == (_two_views.DEFAULT | {"noise": 1.0},) * 2
    one, other = _two_views.rules(defaults(self_supervised)["views"])  # type: ignore[arg-type]
    assert (one["blur_share"], other["blur_share"]) == (1.0, 0.1)
    assert (one["solarise_share"], other["solarise_share"]) == (0.0, 0.2)
    flat = torch.full((400, 1, 8, 8), 200, dtype=torch.uint8)
    still = {"jitter_share": 0.0}
    (rule, _) = _two_views.rules([{**still, "solarise_share": 0.2}])
    turned = (_two_views.view(flat, words(), rule) == 55).flatten(1).all(1).float().mean()
    assert 0.12 < turned < 0.28
    (rule, _) = _two_views.rules([{**still, "noise": 10.0}])
    assert _two_views.view(flat, words(), rule).float().std() == pytest.approx(10, abs=0.5)
    with pytest.raises(ParamsError, match="'blurr' is unknown"):
        _two_views.rules([{"blurr": 1}])
    with pytest.raises(ParamsError, match="views has 3 rules"):
        _two_views.rules([{}] * 3)


# --- what it begins with ------------------------------------------------------------------------------


def test_pretraining_begins_with_model_but_for_their_head(tmp_path: Any) -> None:
    small = {"width": 4, "features": 16}
    before, _ = train_weights(training_jobs.job("convnet", "erm", epochs=1, model_params=small))
    file = training_jobs.write(tmp_path / "w.safetensors", before)
    named = {"learnt_from": "imagenet", "start": "pretrained", "dataset": "d", "model": "convnet"}
    needed = self_supervised.needs(defaults(self_supervised) | named | {"seed": 3})
    assert checkpoint("imagenet", "convnet", "pretrained", 0) in needed
    job = training_jobs.job(
        "convnet", "self_supervised", inputs={needed[-1]: file}, model_params=small, epochs=0, **SMALL
    )
    after, _ = train_weights(job)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if not name.startswith("head.")} == same
    with pytest.raises(ParamsError, match="give both or none"):
        self_supervised.needs(defaults(self_supervised) | named | {"start": "", "seed": 0})


def test_entries_have_the_options_of_the_medmnist_configs() -> None:
    """scripts/pretrain/medmnist/{mocov3,byol,dino,ressl,nnclr,vicreg,barlow}.yaml and defaults of solo-learn."""
    wanted = {
        "moco_v3": {"hidden": 4096, "projection": 256, "predicted": 4096, "temperature": 0.2},
        "byol": {"hidden": 4096, "projection": 256, "predicted": 8192, "momentum": [0.99, 1.0]},
        "dino": {"hidden": 2048, "projection": 256, "prototypes": 4096, "momentum": [0.9995, 1.0]},
        "ressl": {"hidden": 4096, "projection": 256, "temperatures": [0.1, 0.04], "queue": 65536},
        "nnclr": {"hidden": 2048, "projection": 256, "predicted": 4096, "queue": 65536},
        "vicreg": {"hidden": 2048, "projection": 2048, "weights": [25.0, 25.0, 1.0]},
        "barlow_twins": {"hidden": 2048, "projection": 2048, "redundancy": 0.0051, "scale": 0.1},
    }
    common = {"epochs": 400, "batch_size": 256, "lr": 3e-4, "weight_decay": 0.05}
    for name, options in wanted.items():
        found = defaults(registry.find("trainers", name))
        assert {key: found[key] for key in (*options, *common)} == options | common, name
        assert found["method"] == name
    simclr = defaults(self_supervised)
    assert (simclr["hidden"], simclr["projection"], simclr["temperature"]) == (4096, 512, 0.2)
    assert defaults(registry.find("trainers", "dino"))["teacher_t"] == [0.04, 0.07, 50]
    strong, weak = defaults(registry.find("trainers", "ressl"))["views"]
    assert (strong["blur_share"], weak.get("blur_share", 0.0), weak["jitter_share"]) == (0.5, 0, 0)
