"""What self-supervised methods share: projector, predictor, a target that follows, a queue; and their losses.

| method | projector | predictor | target | queue |
| --- | --- | --- | --- | --- |
| simclr | Linear, ReLU, Linear | | | |
| moco_v3 (no biases) | Linear, norm, ReLU, Linear, norm without weights | Linear, norm, ReLU, Linear | yes | |
| byol | Linear, norm, ReLU, Linear | Linear, norm, ReLU, Linear | yes | |
| dino | three of Linear with GELU between, length 1, prototypes of length 1 | | yes | |
| ressl | Linear, ReLU, Linear | | yes | of targets |
| nnclr | three of Linear with norm, ReLU between, norm | Linear, norm, ReLU, Linear | | of first views |
| vicreg, barlow_twins | three of Linear with norm, ReLU between | | | |

Source: the modules of these names in solo-learn (da Costa et al. 2022, JMLR 23(56)); each loss has its paper.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
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
from shiftbench.plugins.trainers import _ema
from shiftbench.plugins.trainers._queue import Queue

METHODS = ("simclr", "moco_v3", "byol", "dino", "ressl", "nnclr", "vicreg", "barlow_twins")
TARGETED = ("moco_v3", "byol", "dino", "ressl")
PREDICTING = ("moco_v3", "byol", "nnclr")
QUEUED = ("ressl", "nnclr")
STUDENT_T, CENTRE_M = 0.1, 0.9
"""DINO's temperature of the student and the running mean of its centre (solo-learn's defaults)."""
Pair = tuple[torch.Tensor, torch.Tensor]


class Prototypes(nn.Module):
    """Points on the sphere to products with `count` directions; `scaled`: each has a length that is learnt."""

    def __init__(self, width: int, count: int, *, scaled: bool) -> None:
        super().__init__()
        self.directions = nn.Linear(width, count, bias=False).weight
        self.lengths = nn.Parameter(torch.ones(count), requires_grad=scaled)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Logits (n, count)."""
        return (F.normalize(points, dim=1) @ F.normalize(self.directions, dim=1).T) * self.lengths


def layers(
    widths: tuple[int, ...],
    between: Callable[[int], list[nn.Module]],
    last: list[nn.Module] | None = None,
    *,
    bias: bool = True,
) -> nn.Sequential:
    """Linear layers of these widths, with what stands between two of them and after the last."""
    modules: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):  # noqa: RUF007
        modules += between(before) if modules else []
        modules.append(nn.Linear(before, after, bias=bias))
    return nn.Sequential(*modules, *(last or []))


def _plain(_width: int) -> list[nn.Module]:
    return [nn.ReLU()]


def _normed(width: int) -> list[nn.Module]:
    return [nn.BatchNorm1d(width), nn.ReLU()]


def projector(features: int, options: Mapping[str, Any]) -> nn.Module:
    """A method's projector; options `method`, `hidden`, `projection` and, of dino, `prototypes`."""
    method, hidden, out = options["method"], options["hidden"], options["projection"]
    if method in ("simclr", "ressl"):
        return layers((features, hidden, out), _plain)
    if method == "moco_v3":
        last = nn.BatchNorm1d(out, affine=False)
        return layers((features, hidden, out), _normed, [last], bias=False)
    if method == "byol":
        return layers((features, hidden, out), _normed)
    if method == "dino":
        mlp = layers((features, hidden, hidden, out), lambda _: [nn.GELU()])
        for layer in mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        scaled = not options["norm_prototypes"]
        return nn.Sequential(mlp, Prototypes(out, options["prototypes"], scaled=scaled))
    last_norm: list[nn.Module] = [nn.BatchNorm1d(out)] if method == "nnclr" else []
    return layers((features, hidden, hidden, out), _normed, last_norm)


class Encoder(nn.Module):
    """A network's features and their projection; the network's head takes no part."""

    def __init__(self, network: Any, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.net = network
        self.projector: Any = projector(network.head.in_features, options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Projections (n, projection), or logits of prototypes (n, prototypes)."""
        projected: torch.Tensor = self.projector(self.net.features(x))
        return projected


class Learner(nn.Module):
    """A network with all that its method needs besides, and the loss of a step.

    Args:
        network: what is kept.
        options: of `self_supervised`.
        steps: of the whole training.
        per_epoch: steps of an epoch.

    Raises:
        ParamsError: no such method.
    """

    centre: torch.Tensor

    def __init__(self, network: nn.Module, options: Mapping[str, Any], steps: int, per_epoch: int) -> None:
        super().__init__()
        method = options["method"]
        if method not in METHODS:
            raise ParamsError(f"self_supervised: method is {method!r}; {suggest(method, METHODS)}")
        self.options, self.steps, self.per_epoch, self.step = options, steps, per_epoch, 0
        self.online = Encoder(network, options)
        out, hidden = options["projection"], options["predicted"]
        self.predictor = layers((out, hidden, out), _normed, bias=method != "moco_v3") if method in PREDICTING else None
        self.target = _ema.follower(self.online) if method in TARGETED else None
        self.queue = Queue(options["queue"], out) if method in QUEUED else None
        self.register_buffer("centre", torch.zeros(options["prototypes"]))

    def loss(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The loss of a step on two views; before all but the first the target follows."""
        if self.target is not None and self.step:
            first, last = self.options["momentum"]
            m = _ema.momentum(self.step - 1, self.steps, first, last)
            _ema.follow(self.target, self.online, m)
        loss = getattr(self, f"_{self.options['method']}")(one, other)
        self.step += 1
        return loss  # type: ignore[no-any-return]

    def held(self) -> None:
        """Take the gradients of DINO's prototypes away in the first epoch, in which they do not learn."""
        if self.options["method"] == "dino" and self.step <= self.per_epoch:
            for parameter in self.online.projector[-1].parameters():
                parameter.grad = None

    def _both(self, one: torch.Tensor, other: torch.Tensor) -> Pair:
        return self.online(one), self.online(other)

    def _targets(self, one: torch.Tensor, other: torch.Tensor) -> Pair:
        assert self.target is not None  # noqa: S101 - of methods with a target
        with torch.no_grad():
            return self.target(one), self.target(other)

    def _predicted(self, one: torch.Tensor, other: torch.Tensor) -> Pair:
        assert self.predictor is not None  # noqa: S101 - of methods with a predictor
        first, second = self._both(one, other)
        return self.predictor(first), self.predictor(second)

    def _simclr(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return nt_xent(*self._both(one, other), self.options["temperature"])

    def _moco_v3(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        queries, keys = self._predicted(one, other), self._targets(one, other)
        t = self.options["temperature"]
        return moco_v3(queries[0], keys[1], t) + moco_v3(queries[1], keys[0], t)

    def _byol(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        predictions, targets = self._predicted(one, other), self._targets(one, other)
        return byol(predictions[0], targets[1]) + byol(predictions[1], targets[0])

    def _dino(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        student, teacher = self._both(one, other), self._targets(one, other)
        t = teacher_temperature(self.step // self.per_epoch, self.options["teacher_t"])
        loss = dino(student, teacher, self.centre, student_t=STUDENT_T, teacher_t=t)
        self.centre.mul_(CENTRE_M).add_(torch.cat(teacher).mean(0), alpha=1 - CENTRE_M)
        return loss

    def _ressl(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        assert self.target is not None and self.queue is not None  # noqa: S101, PT018 - of this method
        views = F.normalize(self.online(one), dim=1)
        with torch.no_grad():
            targets = F.normalize(self.target(other), dim=1)
        student, teacher = self.options["temperatures"]
        points = self.queue.points.clone()
        loss = ressl(views, targets, points, student_t=student, teacher_t=teacher)
        self.queue.add(targets)
        return loss

    def _nnclr(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        assert self.predictor is not None and self.queue is not None  # noqa: S101, PT018 - of this method
        projected = self._both(one, other)
        first, second = (F.normalize(view.detach(), dim=1) for view in projected)
        near_first = nearest_neighbours(first, self.queue.points)
        near_second = nearest_neighbours(second, self.queue.points)
        t = self.options["temperature"]
        forth = nnclr(near_first, self.predictor(projected[1]), t)
        back = nnclr(near_second, self.predictor(projected[0]), t)
        self.queue.add(first)
        return (forth + back) / 2

    def _vicreg(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return vicreg(*self._both(one, other), self.options["weights"])

    def _barlow_twins(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        redundancy, scale = self.options["redundancy"], self.options["scale"]
        return barlow_twins(*self._both(one, other), redundancy=redundancy, scale=scale)


def teacher_temperature(epoch: int, schedule: tuple[float, float, int]) -> float:
    """DINO's temperature of the teacher in an epoch: from the first to the second over so many epochs.

    Example:
        >>> [round(teacher_temperature(epoch, (0.04, 0.07, 4)), 2) for epoch in (0, 1, 3, 9)]
        [0.04, 0.05, 0.07, 0.07]
    """
    first, last, epochs = schedule
    if epoch >= epochs or epochs < 2:
        return first if epoch < epochs else last
    return first + (last - first) * epoch / (epochs - 1)
