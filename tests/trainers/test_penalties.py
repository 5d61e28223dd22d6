"""Penalties on environments: by hand on two of them, against the released rules on one logit, and their gradients."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.trainers import _penalties
from shiftbench.plugins.trainers._penalties import Environment, Settings

Pair = tuple[torch.Tensor, torch.Tensor]
NAMES = [name for name in _penalties.PENALTIES if name != "none"]


class OneLogit(nn.Linear):
    """A head whose first logit is 0."""

    free = torch.tensor([0.0, 1.0], dtype=torch.float64)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.linear(features, self.weight * self.free[:, None], self.bias * self.free)


def head() -> OneLogit:
    made = OneLogit(3, 2).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [0.4, -0.7, 0.2]]))
        made.bias.copy_(torch.tensor([0.0, 0.1]))
    return made


def drawn() -> list[Pair]:
    """Return features (n, 3) and labels of two environments of different size."""
    words = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 3, generator=words, dtype=torch.float64),
         torch.randint(0, 2, (n,), generator=words)) for n in (7, 12)
    ]  # fmt: skip


def said(head: nn.Module, pairs: list[Pair]) -> list[Environment]:
    return [Environment(head(features), labels, features) for features, labels in pairs]


def ours(name: str, head: nn.Module, pairs: list[Pair], kernel: float = 0.4) -> torch.Tensor:
    envs = said(head, pairs)
    risks = torch.stack([env.risk() for env in envs])
    options = Settings(head, list(head.parameters()), kernel)
    return _penalties.find(name)(envs, risks, options)


# Two samples in each environment, features (1, 0) and (0, 1), labels 1 and 0. With z = (2, 0) and (0, 2) the
# probabilities of 1 are s = 1 / (1 + e^-2) and 1/2.
S = 1 / (1 + math.exp(-2))
R1 = (math.log1p(math.exp(-2)) + math.log(2)) / 2  # z = 2 of label 1, z = 0 of label 0
R2 = (math.log(2) + 2 + math.log1p(math.exp(-2))) / 2  # z = 0 of label 1, z = 2 of label 0
BY_HAND = {
    # d/ds R(s z) = mean of (p - y) z
    "irmv1": (((S - 1) * 2 / 2) ** 2 + (S * 2 / 2) ** 2) / 2,
    "vrex": (R1 - R2) ** 2 / 2,
    "spectral_decoupling": 2.0 + 2.0,
    # gradients by (w1, w2, b): ((s-1)/2, 1/4, (s-1)/2 + 1/4), and (-1/4, s/2, s/2 - 1/4); half their squared distance
    "iga": (((S - 1) / 2 + 1 / 4) ** 2 + (1 / 4 - S / 2) ** 2 + ((S - 1) / 2 + 1 / 2 - S / 2) ** 2) / 2,
    # second moments: ((1-s)^2/2, 1/8, sum), and (1/8, s^2/2, sum)
    "fishr": (((1 - S) ** 2 / 2 - 1 / 8) ** 2 + (1 / 8 - S**2 / 2) ** 2
              + ((1 - S) ** 2 / 2 - S**2 / 2) ** 2) / 2,
    # confidence s of a right one and 1/2 of a right one (a tie is the first class); 1/2 of a wrong one and s of a wrong
    "clove": ((1 - S) ** 2 + 1 / 4 + 2 * (1 - S) / 2 * math.exp(-(S - 0.5) / 0.4)
              + 1 / 4 + S**2 + 2 * S / 2 * math.exp(-(S - 0.5) / 0.4)) / 4,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_by_hand_on_two_environments(name: str) -> None:
    linear = OneLogit(2, 2).double()
    features, labels = torch.eye(2, dtype=torch.float64), torch.tensor([1, 0])
    found = []
    envs = []
    for z in ((2.0, 0.0), (0.0, 2.0)):
        # One net whose logits differ by environment: features are scaled rather than the head.
        logits = torch.stack([torch.zeros(2), torch.tensor(z)], 1).double()
        envs.append(Environment(logits, labels, features))
    risks = torch.stack([env.risk() for env in envs])
    assert risks.tolist() == pytest.approx([R1, R2])
    if name == "iga":
        weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        risks = torch.stack([
            F.binary_cross_entropy_with_logits(torch.tensor(z).double() + weight[:2] + weight[2], labels.double())
            for z in ((2.0, 0.0), (0.0, 2.0))
        ])  # fmt: skip
        found = _penalties.iga(envs, risks, Settings(linear, [weight]))
    else:
        found = _penalties.find(name)(envs, risks, Settings(linear, list(linear.parameters())))
    assert found.item() == pytest.approx(BY_HAND[name])


# --- the released rules, literally, on one logit z of shape (n, 1) and labels of 0. and 1. ----------------------------


def released_irm(z: list[torch.Tensor], y: list[torch.Tensor], _: Settings) -> torch.Tensor:
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for logits, labels in zip(z, y, strict=True):
        loss = F.binary_cross_entropy_with_logits(logits * scale, labels)
        total = total + torch.autograd.grad(loss, [scale], create_graph=True)[0] ** 2
    return total / len(z)


def released_iga(z: list[torch.Tensor], y: list[torch.Tensor], options: Settings) -> torch.Tensor:
    grads = []
    for logits, labels in zip(z, y, strict=True):
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        parts = torch.autograd.grad(loss, list(options.parameters), create_graph=True)
        grads.append(torch.cat([part.view(-1) for part in parts]))
    mean = sum(grads).detach() / len(grads)
    return sum(((grad - mean) ** 2).sum() for grad in grads)


def released_fishr(z: list[torch.Tensor], y: list[torch.Tensor], options: Settings) -> torch.Tensor:
    moments = []
    for logits, labels in zip(z, y, strict=True):
        each = []
        for one, label in zip(logits, labels, strict=True):
            loss = F.binary_cross_entropy_with_logits(one, label)
            parts = torch.autograd.grad(loss, list(options.parameters), create_graph=True)
            each.append(torch.cat([part.reshape(-1) for part in parts]))
        moments.append(torch.stack(each).pow(2).mean(dim=0))
    mean = torch.stack(moments).mean(dim=0)
    return sum((moment - mean).pow(2).sum() for moment in moments)


def released_clove(z: list[torch.Tensor], y: list[torch.Tensor], options: Settings) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for logits, labels in zip(z, y, strict=True):
        right = (~((logits.flatten() > 0) ^ (labels.flatten() > 0.5))).double()
        chance = torch.sigmoid(logits).flatten()
        confidence = torch.where(chance < 0.5, 1 - chance, chance)
        for i in range(len(right)):
            for j in range(len(right)):
                near = torch.exp(-(confidence[i] - confidence[j]).abs() / options.kernel)
                gaps = (right[i] - confidence[i]) * (right[j] - confidence[j])
                total = total + gaps * near / len(right) ** 2
    return total


RELEASED: dict[str, Callable[[list[torch.Tensor], list[torch.Tensor], Settings], torch.Tensor]] = {
    "irmv1": released_irm,
    "vrex": lambda z, y, _: torch.stack(
        [F.binary_cross_entropy_with_logits(a, b) for a, b in zip(z, y, strict=True)]
    ).var(),
    "spectral_decoupling": lambda z, _y, _: sum((logits**2).mean() for logits in z),
    "iga": released_iga,
    "fishr": released_fishr,
    "clove": released_clove,
}


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_the_released_rule(name: str) -> None:
    pairs, own = drawn(), head()
    found = ours(name, own, pairs)
    found.backward()
    weight = own.weight.detach()[1:].clone().requires_grad_()
    bias = own.bias.detach()[1:].clone().requires_grad_()
    logits = [features @ weight.T + bias for features, _ in pairs]
    labels = [one.double()[:, None] for _, one in pairs]
    wanted = RELEASED[name](logits, labels, Settings(own, [weight, bias]))
    wanted.backward()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-10)
    assert torch.allclose(own.weight.grad[1:], weight.grad, atol=1e-12)
    assert torch.allclose(own.bias.grad[1:], bias.grad, atol=1e-12)
    assert not own.weight.grad[0].any()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "iga"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    pairs = drawn()
    linear = nn.Linear(3, 3).double()  # three classes, each with a free logit

    def value(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        envs = [Environment(F.linear(f, weight, bias), y, f) for f, y in pairs]
        risks = torch.stack([env.risk() for env in envs])
        return _penalties.find(name)(envs, risks, Settings(linear, [weight, bias]))

    assert torch.autograd.gradcheck(value, (linear.weight, linear.bias))


def test_the_mean_gradient_of_iga_is_a_constant() -> None:
    """Its gradient is 2 sum_e H_e (g_e - mean), H_e the second derivatives of R_e, by finite differences."""
    pairs, own = drawn(), head()
    ours("iga", own, pairs).backward()

    def gradient(shift: torch.Tensor, pair: Pair) -> torch.Tensor:
        weight = (own.weight.detach()[1] + shift[:3]).requires_grad_()
        bias = (own.bias.detach()[1] + shift[3]).requires_grad_()
        risk = F.binary_cross_entropy_with_logits(pair[0] @ weight + bias, pair[1].double())
        parts = torch.autograd.grad(risk, [weight, bias])
        return torch.cat([part.reshape(-1) for part in parts])

    at = [gradient(torch.zeros(4).double(), pair) for pair in pairs]
    mean, step = sum(at) / 2, 1e-6
    wanted = torch.zeros(4, dtype=torch.float64)
    for axis, shift in enumerate(step * torch.eye(4, dtype=torch.float64)):
        for before, pair in zip(at, pairs, strict=True):
            slope = (gradient(shift, pair) - gradient(-shift, pair)) / (2 * step)
            wanted[axis] += 2 * slope @ (before - mean)
    assert torch.allclose(own.weight.grad[1], wanted[:3], atol=1e-8)
    assert own.bias.grad[1].item() == pytest.approx(wanted[3].item(), abs=1e-8)


@pytest.mark.parametrize("name", ["vrex", "iga", "fishr"])
def test_environments_that_are_equal_cost_nothing(name: str) -> None:
    pair = drawn()[0]
    assert ours(name, head(), [pair, pair]).item() == pytest.approx(0, abs=1e-20)
    assert ours(name, head(), drawn()).item() > 1e-6


def test_halves_multiply_the_gradients_of_even_and_of_odd_samples() -> None:
    env = said(head(), drawn())[1]
    wanted = []
    for part in (slice(0, None, 2), slice(1, None, 2)):
        scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        risk = F.cross_entropy(env.logits[part] * scale, env.labels[part])
        wanted.append(torch.autograd.grad(risk, scale)[0])
    found = _penalties.irmv1([env], torch.zeros(1), Settings(head(), [], halves=True))
    assert found.item() == pytest.approx((wanted[0] * wanted[1]).item())


def test_a_penalty_of_another_name() -> None:
    with pytest.raises(ParamsError, match="vrex"):
        _penalties.find("rex")
