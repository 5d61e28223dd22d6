"""The contract of the optimizers family; a new file in optimizers/ is tested by existing."""

import pytest
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.contracts import names

NAMES = names("optimizers")


def net() -> nn.Sequential:
    """A small net with a hidden matrix, biases and a head."""
    torch.manual_seed(0)
    layers = [("body", nn.Linear(6, 5)), ("norm", nn.LayerNorm(5)), ("head", nn.Linear(5, 3))]
    made = nn.Sequential()
    for name, layer in layers:
        made.add_module(name, layer)
    return made


def made(name: str, of: nn.Module, lr: float = 0.01, decay: float = 0.0) -> torch.optim.Optimizer:
    module = registry.find("optimizers", name)
    found: torch.optim.Optimizer = module.make(of, lr, decay, defaults(module))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    module = registry.find("optimizers", name)
    assert "Source" in (module.__doc__ or "")
    assert isinstance(defaults(module), dict)


@pytest.mark.parametrize("name", NAMES)
def test_a_quadratic_goes_down(name: str) -> None:
    """Least squares on 6 -> 3 through two layers: the loss falls to less than a half."""
    torch.manual_seed(1)
    x, own = torch.randn(64, 6), net()
    y = x @ torch.randn(6, 3)
    update = made(name, own)
    losses = []
    for _ in range(150):
        loss = (own(x) - y).square().mean()
        losses.append(loss.item())
        update.zero_grad()
        loss.backward()
        update.step()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_learn_stays(name: str) -> None:
    own = net()
    own.body.weight.requires_grad = False
    before = {key: value.clone() for key, value in own.state_dict().items()}
    update = made(name, own, decay=0.1)
    own(torch.randn(4, 6)).square().mean().backward()
    own.norm.bias.grad = None  # and what got no gradient
    update.step()
    after = own.state_dict()
    assert torch.equal(after["body.weight"], before["body.weight"])
    assert torch.equal(after["norm.bias"], before["norm.bias"])
    assert not torch.equal(after["head.weight"], before["head.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_a_net_without_matrices_learns(name: str) -> None:
    own = nn.LayerNorm(4)
    before = own.weight.detach().clone()
    update = made(name, own)
    own(torch.randn(8, 4)).pow(3).sum().backward()
    update.step()
    assert not torch.equal(own.weight, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_same_twice_and_decays_matrices_alone(name: str) -> None:
    one, two = net(), net()
    for own in (one, two):
        update = made(name, own, decay=0.5)
        own(torch.arange(12.0).reshape(2, 6)).square().sum().backward()
        update.step()
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)
    still = net()
    update = made(name, still, lr=0.1, decay=0.5)
    for parameter in still.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {key: value.clone() for key, value in still.state_dict().items()}
    update.step()
    assert still.head.weight.norm() < before["head.weight"].norm()
    assert torch.equal(still.head.bias, before["head.bias"])


def test_biases_and_norms_are_decayed_where_it_is_asked() -> None:
    module = registry.find("optimizers", "sgd")
    for everything, kept in ((False, 1.0), (True, 0.99)):
        own = net()
        nn.init.ones_(own.body.bias)
        update = module.make(own, 0.1, 0.1, {**defaults(module), "decay_all": everything})
        sum(p.sum() * 0 for p in own.parameters()).backward()
        update.step()
        # the first step of Nesterov's momentum is 1.9 times the gradient
        assert own.body.bias[0].item() == pytest.approx(1 - 1.9 * (1 - kept), abs=1e-6)
