"""What is damaged of a picture, and how: attribution, masks and noise beside literal versions of their equations."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from makers.small_nets import batch, small_net
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.losses.outliers import uniform
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.ascood.models import standardised
from shiftbench.systems.ascood.trainers import _attribution, ascood

OPTIONS = {"type": "gradient", "p_inv": 0.1, "alpha": 0.5, "sign": "+", "attribution": "eval"}


UNIT = _attribution.Scale(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


def words() -> RandomStream:
    return RandomStream(0, "ascood", "test", "0")


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
    views = _attribution.damage(small_net(), x, labels, words(), UNIT, {**OPTIONS, "p_inv": share})
    assert views.mask.flatten(1).sum(1).tolist() == [math.floor(share * 60)] * 4
    assert _attribution.count(0.29, 100) == 29  # where 0.29 * 100 < 29


@pytest.mark.parametrize("sign", ["+", "-"])
def test_gradient_damage_is_its_equation_and_moves_the_true_logit(sign: str) -> None:
    x, labels = batch()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    views = _attribution.damage(linear, x, labels, words(), UNIT, {**OPTIONS, "sign": sign})
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
    views = _attribution.damage(net, x, labels, words(), UNIT, {**OPTIONS, "type": "shuffle", "p_inv": 0.4})
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
        in_pixels = _attribution.damage(net, given, labels, words(), scale_, options)
        normal = _attribution.damage(inner, x, labels, words(), UNIT, options)
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
        _attribution.damage(net, x, labels, words(), UNIT, {**OPTIONS, "attribution": how})
        assert bool((net[0].running_mean != before).any()) == moved
        assert net.training
        assert net[0].training


def test_alpha_is_the_released_one_in_each_epoch() -> None:
    """The released trainer counts epochs from 1: Waterbirds' alpha goes from 291 to 30."""
    found = []
    job = training_jobs.job("convnet", "ascood", epochs=30, alpha_max=300.0, alpha_min=30.0, shift=0)
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
    views = _attribution.damage(twin, still, labels[:4], words(), scale_, {**job.params, "alpha": 30.0})
    logits = twin.train()(torch.cat([still, views.images])).detach()
    expected = nn.functional.cross_entropy(logits[:4], labels[:4]) + uniform(logits[4:]) - math.log(4)
    assert loss(net, inputs[:4], labels[:4], words()).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize(("name", "value"), [("type", "shufle"), ("sign", "x"), ("p_inv", 2.0)])
def test_what_is_no_damage_is_refused(name: str, value: Any) -> None:
    x, labels = batch()
    with pytest.raises(ParamsError, match=name):
        _attribution.damage(small_net(), x, labels, words(), UNIT, {**OPTIONS, name: value})


def test_clean_damaged_and_masks_make_a_picture(tmp_path: Path) -> None:
    x, labels = batch()
    seen = 127.5 + 60 * x
    views = _attribution.damage(small_net(), seen, labels, words(), UNIT, OPTIONS)
    sheet = _attribution.picture(seen, views)
    Image.fromarray(sheet).save(tmp_path / "views.png")
    again = np.asarray(Image.open(tmp_path / "views.png"))
    assert again.shape == (3 * (5 + 2), 4 * (6 + 2))
    assert np.array_equal(again[1:6, 1:7], seen[0].mean(0).clamp(0, 255).round().numpy())
    masked = again[15:20, 9:15] > 0
    assert np.array_equal(masked, views.mask[1].any(0).numpy())


@pytest.mark.parametrize("kind", _attribution.TYPES)
def test_eight_samples_are_pictured_as_a_net_would_damage_them(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    net: Any = standardised.build(defaults(standardised), 4).eval()
    predictor = nets.TorchPredictor(net, standardised, defaults(standardised), "cpu")
    options = {**defaults(ascood), "type": kind, "alpha_max": 100.0}
    sheet = _attribution.damage_picture(predictor, training_jobs.pictures(8), options, words())
    Image.fromarray(sheet).save(tmp_path / f"{kind}.png")
    assert np.asarray(Image.open(tmp_path / f"{kind}.png")).shape == (3 * 30, 8 * 30)
    clean, other, mask = sheet.reshape(3, 30, 240)
    inside = mask[1:29, 1:29] > 0
    assert inside.mean() == pytest.approx(1.0 if kind == "gaussian" else 0.1, abs=0.001)
    changed = (clean != other)[1:29, 1:29]
    assert changed.any()
    assert not changed[~inside].any()
