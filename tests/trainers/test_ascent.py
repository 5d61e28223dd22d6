"""Maximisation in a ball and a box: closed forms of linear functions, Auto-PGD's schedule and its rule written out."""

import math

import numpy as np
import pytest
import torch

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _ascent
from shiftbench.plugins.trainers._ascent import Region

SLOPES = torch.tensor([[3.0, -4.0, 0.5, 0.0], [-1.0, 2.0, 2.0, 1.0]])
CENTRES = torch.tensor([[0.5, 0.02, 0.9, 0.5], [0.2, 0.2, 0.2, 0.2]])


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "ascent", "d", key)


def linear(points: torch.Tensor) -> torch.Tensor:
    return (SLOPES * points).sum(1)


def wavy(points: torch.Tensor) -> torch.Tensor:
    """Return a function with many maxima; (n, d) -> (n,)."""
    ways = torch.arange(1.0, points.shape[1] + 1)
    return (torch.sin(9 * ways * points) + 2 * points.cos()).sum(1)


@pytest.mark.parametrize("ascend", ["pgd", "apgd"])
def test_a_linear_function_is_highest_where_the_closed_form_says(ascend: str) -> None:
    def highest(region: Region) -> torch.Tensor:
        start = region.uniform(words())
        if ascend == "pgd":
            return _ascent.pgd(linear, region, 80, 0.02, start)
        return _ascent.apgd(linear, region, 20, start)

    boxed = (CENTRES + 0.1 * SLOPES.sign()).clamp(0, 1)
    assert torch.allclose(highest(Region(CENTRES, 0.1, "linf", 0.0, 1.0)) * SLOPES.abs(), boxed * SLOPES.abs())
    ball = CENTRES + 0.1 * SLOPES / SLOPES.norm(dim=1, keepdim=True)
    assert torch.allclose(highest(Region(CENTRES, 0.1, "l2")), ball, atol=1e-3)


def test_each_coordinate_has_a_unit_of_its_own() -> None:
    """As for weights in a ball relative to their size: |d / w| <= r; so is the gradient in L2."""
    unit = torch.tensor([[1.0, 0.1, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    found = _ascent.apgd(linear, Region(CENTRES, 0.1, "linf", scale=unit), 10)
    assert torch.allclose(found - CENTRES, 0.1 * unit * SLOPES.sign())
    found = _ascent.pgd(linear, Region(CENTRES, 0.1, "l2", scale=unit), 30, 0.02)
    inside = unit * SLOPES
    assert torch.allclose(found - CENTRES, 0.1 * unit * inside / inside.norm(dim=1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_and_points_stay_in_ball_and_box(norm: str) -> None:
    centre = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0))
    region = Region(centre, 0.2, norm, 0.0, 1.0)
    points = [region.uniform(words()), region.border(words()), _ascent.apgd(lambda x: wavy(x.flatten(1)), region, 9)]
    for found in points:
        away = (found - centre).flatten(1)
        assert (away.abs().amax(1) if norm == "linf" else away.norm(dim=1)).max() <= 0.2 + 1e-6
        assert 0 <= found.min() <= found.max() <= 1
        assert away.abs().sum() > 0
    on_border = Region(centre, 0.2, norm).border(words()) - centre
    lengths = on_border.flatten(1).abs().amax(1) if norm == "linf" else on_border.flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.tensor(0.2))


def test_the_best_point_counts_or_the_last() -> None:
    region, start = Region(torch.zeros(1, 1), 1.0), torch.tensor([[0.4]])
    peak = lambda x: -(x - 0.5).abs().sum(1)  # noqa: E731
    best, last = (_ascent.pgd(peak, region, 1, 0.8, start, best=best) for best in (True, False))
    assert best.item() == pytest.approx(0.4)
    assert last.item() == pytest.approx(1.0)
    assert _ascent.pgd(peak, region, 0, 1.0).item() == 0


def test_checkpoints_are_those_of_the_paper_and_of_the_code() -> None:
    assert _ascent.checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert _ascent.checkpoints(100, "released") == [22, 41, 57, 70, 80, 87, 93, 99]
    assert _ascent.checkpoints(20) == [5, 9, 12, 14, 16, 18, 19, 20]
    assert _ascent.checkpoints(20, "released") == [4, 7, 9, *range(10, 21)]


def looks_back(steps: int, rule: str) -> set[int]:
    """Return after how many steps, by the paper's recursion or the released counter."""
    if rule == "paper":
        p = [0.0, 0.22]
        while p[-1] <= 1:
            p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
        return {math.ceil(round(share * steps, 9)) for share in p[1:]}
    found, since, k = set(), 0, max(int(0.22 * steps), 1)
    for done in range(1, steps + 1):
        since += 1
        if since == k:
            found.add(done)
            since, k = 0, max(k - max(int(0.03 * steps), 1), int(0.06 * steps), 1)
    return found


def value_and_slope(x: np.ndarray) -> tuple[float, np.ndarray]:
    at = torch.tensor(x, requires_grad=True)
    value = wavy(at[None]).sum()
    value.backward()
    return float(value.detach()), at.grad.numpy()


def written_out(x0: np.ndarray, x: np.ndarray, eps: float, steps: int, rule: str) -> np.ndarray:
    """Return Auto-PGD of one row in L-infinity: algorithm 1, or the released loop, with all values kept."""
    low, high, old, eta = x0 - eps, x0 + eps, x, 2 * eps
    most, gradient = value_and_slope(x)
    best, best_gradient, seen = x, gradient, [0.0 if rule == "released" else most]
    halve, at_check, mark = True, most, 0
    for done in range(1, steps + 1):
        a = 0.75 if done > 1 else 1.0
        z = np.clip(x + eta * np.sign(gradient), low, high)
        x, old = np.clip(x + a * (z - x) + (1 - a) * (x - old), low, high), x
        value, gradient = value_and_slope(x)
        seen.append(value)
        if value > most:
            most, best, best_gradient = value, x, gradient
        if done in looks_back(steps, rule):
            rises = sum(seen[j] > seen[j - 1] for j in range(mark + 1, done + 1))
            bound = 0.75 * (done - mark)
            few = rises <= bound if rule == "released" else rises < bound
            halve = few or (not halve and at_check >= most)
            if halve:
                eta, x, gradient = eta / 2, best, best_gradient
            at_check, mark = most, done
    return best


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_auto_pgd_is_its_rule_written_out(rule: str) -> None:
    random = np.random.default_rng(3)
    centre = random.uniform(-1, 1, (8, 3))
    start = centre + random.uniform(-0.7, 0.7, (8, 3))
    region = Region(torch.tensor(centre), 0.7)
    made = _ascent.apgd(wavy, region, 40, torch.tensor(start), rule=rule).numpy()
    expected = np.stack([written_out(c, s, 0.7, 40, rule) for c, s in zip(centre, start, strict=True)])
    assert np.allclose(made, expected, atol=1e-9)


def test_the_rules_differ_and_beat_plain_steps() -> None:
    random = torch.Generator().manual_seed(1)
    region = Region(torch.rand(32, 4, generator=random), 0.5)
    start = region.border(words())
    paper, released = (_ascent.apgd(wavy, region, 40, start, rule=rule) for rule in _ascent.RULES)
    plain = _ascent.pgd(wavy, region, 40, 0.5, start)
    assert not torch.equal(paper, released)
    assert wavy(paper).mean() > wavy(plain).mean()
    assert (wavy(paper) >= wavy(start)).all()


def test_what_cannot_be_searched_is_said() -> None:
    with pytest.raises(ParamsError, match="norm is 'l1'"):
        Region(CENTRES, 0.1, "l1")
    with pytest.raises(ParamsError, match="radius"):
        Region(CENTRES, -0.1)
    with pytest.raises(ParamsError, match="rule is 'none'"):
        _ascent.apgd(linear, Region(CENTRES, 0.1), 5, rule="none")
    with pytest.raises(ParamsError, match="1 step"):
        _ascent.apgd(linear, Region(CENTRES, 0.1), 0)
