"""Steps along the orthogonalised momentum of each hidden matrix; AdamW for all else.

For a matrix (convolutions are reshaped to (out, in k k)) with gradient G, momentum M and learning rate lr:

    M <- mu M + w G,   D = w G + mu M with Nesterov, else M      w = 1, or 1 - mu where the momentum is an average
    B = clip(D, -eps, eps), eps the q-quantile of |D|            only where q is given
    X = Newton-Schulz(B)
    theta <- (1 - lr wd) theta - lr scale(m, n) X

Embeddings, the head, biases and norms step by AdamW with decoupled decay of matrices.

Source: Muon, Jordan et al. 2024, KellerJordan/Muon; ROOT, arXiv 2511.20626.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shiftbench.plugins.optimizers import _coefficients, _newton_schulz
from shiftbench.plugins.optimizers._newton_schulz import CLASSIC, MUON

OUTSIDE = frozenset(("head", "classifier", "embed", "embedding", "stem", "position", "token"))
"""Parts of a parameter's name that mark an embedding or the output."""
COEFFICIENTS = {"classic": lambda _: CLASSIC, "muon": lambda _: MUON, "fitted": _coefficients.of}
SCALES: dict[str, Callable[[int, int], float]] = {
    "rms": lambda m, n: 0.2 * math.sqrt(max(m, n)),
    "muon": lambda m, n: math.sqrt(max(1.0, m / n)),
}
FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Rule:
    """How a matrix steps.

    Attributes:
        momentum: mu.
        average: the momentum is a moving average, not a sum.
        nesterov: look ahead by one step.
        quantile: q; None clips nothing.
        coefficients: a name of COEFFICIENTS.
        scale: a name of SCALES.
    """

    momentum: float = 0.95
    average: bool = False
    nesterov: bool = True
    quantile: float | None = None
    coefficients: str = "muon"
    scale: str = "rms"


class Orthogonal(torch.optim.Optimizer):
    """The optimiser; a group with `matrices: True` steps by the rule, the others by AdamW."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, rule: Rule, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0})
        self.rule = rule

    @torch.no_grad()
    def step(self, _: Any = None) -> None:  # type: ignore[override]
        """Make one step; parameters without a gradient stay."""
        for group in self.param_groups:
            move = self._along_matrix if group["matrices"] else self._along_adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(group["lr"] * move(parameter, group))

    def _along_matrix(self, parameter: torch.Tensor, _: dict[str, Any]) -> torch.Tensor:
        state, rule = self.state[parameter], self.rule
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        direction = advanced(state["momentum"], parameter.grad, rule)  # type: ignore[arg-type]
        return update(direction.flatten(1), rule).view_as(parameter)

    def _along_adam(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        state, (one, two) = self.state[parameter], group["betas"]
        if "step" not in state:
            state["step"] = 0
            state["mean"], state["square"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        gradient = parameter.grad
        state["mean"].lerp_(gradient, 1 - one)
        state["square"].mul_(two).addcmul_(gradient, gradient, value=1 - two)
        mean = state["mean"] / (1 - one ** state["step"])
        square = state["square"] / (1 - two ** state["step"])
        step: torch.Tensor = mean / (square.sqrt() + group["eps"])
        return step


def advanced(momentum: torch.Tensor, gradient: torch.Tensor, rule: Rule) -> torch.Tensor:
    """D, after the momentum was advanced in place."""
    weight = 1 - rule.momentum if rule.average else 1.0
    momentum.mul_(rule.momentum).add_(gradient, alpha=weight)
    return ahead(momentum, gradient, rule)


def ahead(momentum: torch.Tensor, gradient: torch.Tensor, rule: Rule) -> torch.Tensor:
    """D of a momentum that this gradient has advanced."""
    weight = 1 - rule.momentum if rule.average else 1.0
    return weight * gradient + rule.momentum * momentum if rule.nesterov else momentum


def update(direction: torch.Tensor, rule: Rule) -> torch.Tensor:
    """The direction that a matrix (m, n) moves along, times its scale."""
    base = direction if rule.quantile is None else clipped(direction, rule.quantile)
    triple: Sequence[float] = COEFFICIENTS[rule.coefficients](base.shape)
    return SCALES[rule.scale](*base.shape) * _newton_schulz.orthogonalised(base, triple)


def clipped(direction: torch.Tensor, quantile: float) -> torch.Tensor:
    """D - sign(D) max(|D| - eps, 0) with the quantile eps of |D|: entries beyond eps are cut to it.

    The quantile is of this matrix alone, interpolated between the two nearest sizes as in ROOT's script (plus 1e-9;
    `torch.quantile` refuses more than 2^24 entries). It is active on gradients without outliers, too.
    """
    sizes = direction.abs().flatten()
    place = quantile * (len(sizes) - 1)
    low, high = (sizes.kthvalue(1 + rank(place)).values for rank in (math.floor, math.ceil))
    eps = float(low.lerp(high, place - math.floor(place))) + FLOOR
    return direction.clamp(-eps, eps)


def groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Hidden matrices, other matrices (decayed by AdamW), and biases and norms."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = [p for name, p in trained if is_hidden(name, p)]
    others = [p for name, p in trained if not is_hidden(name, p)]
    candidates: list[dict[str, Any]] = [
        {"params": hidden, "matrices": True, "weight_decay": decay},
        {"params": [p for p in others if p.ndim > 1], "matrices": False, "weight_decay": decay},
        {"params": [p for p in others if p.ndim <= 1], "matrices": False, "weight_decay": 0.0},
    ]
    return [group for group in candidates if group["params"]]


def is_hidden(name: str, parameter: torch.Tensor) -> bool:
    """Whether a parameter is a matrix between embedding and output."""
    return parameter.ndim > 1 and OUTSIDE.isdisjoint(name.split("."))
