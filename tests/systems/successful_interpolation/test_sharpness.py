"""Sharpness: closed forms, the released search written out, masks, what normalising logits takes away."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _ascent
from shiftbench.systems.successful_interpolation.analyses import _sharpness

RHO = 0.05


class Linear:
    """A loss that is linear in the weights: its maximum in the box is rho * sum |w_j g_j| higher."""

    def __init__(self, slope: torch.Tensor, centre: torch.Tensor) -> None:
        self.slope, self.centre = slope, centre[None]

    def __call__(self, row: torch.Tensor) -> torch.Tensor:
        return row @ self.slope

    box = _sharpness.Loss.box


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rule", _sharpness.RULES)
def test_a_linear_loss_reaches_its_analytic_maximum(rule: str) -> None:
    slope, centre = drawn(200), drawn(200, seed=1)
    found = _sharpness.worst(Linear(slope, centre), RHO, 20, rule)  # type: ignore[arg-type]
    assert found == pytest.approx(float(RHO * (slope * centre).abs().sum()), rel=0.01)


def net_and_batch() -> tuple[nn.Module, dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).eval()
    return net, dict(net.state_dict()), drawn(32, 6, seed=2), torch.arange(32) % 4


def loss(names: list[str] | None = None, **changes: Any) -> _sharpness.Loss:
    net, state, inputs, labels = net_and_batch()
    state = {**state, **changes.pop("state", {})}
    return _sharpness.Loss(net, state, names or list(state), inputs, labels, **changes)


def released(objective: Any, w: np.ndarray, rho: float, steps: int) -> float:
    """Return the rise that the released search finds, by its text, one weight vector of NumPy."""
    p, marks = [0, 0.22], [0, math.ceil(steps * 0.22)]
    while marks[-1] < steps and marks[-1] != marks[-2]:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
        marks.append(math.ceil(p[-1] * steps))
    marks = marks[1:]

    def at(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _ascent.graded(objective, torch.from_numpy(x)[None])
        return float(value), gradient[0].numpy()

    delta = np.zeros_like(w)
    prev_delta, model = delta.copy(), w.copy()
    init, _ = at(w)
    worst = prev_worst = init
    worst_model, size, prev_size, prev_cp, updates = w.copy(), 2 * rho, 2 * rho, 0, 0
    for i in range(steps):
        backup = delta.copy()
        delta = delta + size * np.sign(at(model)[1]) * np.abs(w)
        delta = np.maximum(np.minimum(delta, np.abs(w) * rho), -np.abs(w) * rho)
        delta = 0.75 * delta + (1 - 0.75) * prev_delta
        model, prev_delta = w + delta, backup
        current, _ = at(model)
        if current > worst:
            worst, worst_model, updates = current, model.copy(), updates + 1
        if i in marks:
            first = updates < 0.75 * (i - prev_cp)
            second = prev_size == size and prev_worst == worst
            prev_size, prev_worst, prev_cp, updates = size, worst, i, 0
            if first or second:
                size, model = size * 0.5, worst_model.copy()
    return worst - init


def test_the_released_search_is_the_released_one() -> None:
    own = loss()
    for rho, steps in ((0.01, 20), (0.5, 20), (0.5, 7)):
        told = released(own, own.centre[0].detach().numpy().copy(), rho, steps)
        assert _sharpness.worst(own, rho, steps, "released") == pytest.approx(told, rel=1e-4)
    assert _sharpness.worst(own, 0.5, 20) != pytest.approx(_sharpness.worst(own, 0.5, 20, "released"))


def test_all_layers_are_the_whole_net_and_one_moves_less() -> None:
    names = list(net_and_batch()[1])
    whole = _sharpness.worst(loss(), RHO)
    assert _sharpness.worst(loss(names[::-1]), RHO) == pytest.approx(whole, rel=0.02)
    assert 0 < _sharpness.worst(loss(names[2:]), RHO) < whole
    with pytest.raises(ParamsError, match="no layer"):
        _sharpness.Loss(*net_and_batch()[:2], [], *net_and_batch()[2:])


def test_normalised_logits_take_confidence_away() -> None:
    state = net_and_batch()[1]
    loud = {name: 10 * state[name] for name in ("2.weight", "2.bias")}
    quiet, shouting = (_sharpness.worst(loss(state=own), RHO) for own in ({}, loud))
    assert shouting == pytest.approx(quiet, rel=1e-3)
    plain, loudly = (_sharpness.worst(loss(state=own, normalise=False), RHO) for own in ({}, loud))
    assert loudly > 2 * plain
    found = _sharpness.normalised(drawn(5, 4))
    assert torch.allclose(found.mean(1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(found.norm(dim=1), torch.ones(5))


def test_zero_weights_do_not_move_and_the_average_is_below_the_maximum() -> None:
    state = {name: torch.zeros_like(one) for name, one in net_and_batch()[1].items()}
    assert _sharpness.worst(loss(state=state), RHO) == 0
    own = loss()
    for kind in _sharpness.DRAWS:
        words = RandomStream(0, "average", "", kind)
        found = _sharpness.mean(own, RHO, words, 3, kind)
        drawn_once = RandomStream(0, "average", "", kind)
        total = 0.0
        for _ in range(3):
            shape = tuple(own.centre.shape)
            move = 2 * drawn_once.uniform(shape) - 1 if kind == "uniform" else drawn_once.normal(shape)
            total += float(own(own.centre * (1 + RHO * own.centre.sign() * torch.from_numpy(move))))
        assert found == pytest.approx(total / 3 - float(own(own.centre)), abs=1e-6)
        assert found < _sharpness.worst(own, RHO)
    for wrong in ({"rule": "apgd"}, {"iterations": 0}):
        with pytest.raises(ParamsError):
            _sharpness.worst(own, RHO, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match="draws are 'gauss'"):
        _sharpness.mean(own, RHO, RandomStream(0, "a", "", ""), 1, "gauss")
