"""Maximisation in a ball and a box: projected gradient ascent, and Auto-PGD with its schedule of steps.

What is moved is any tensor whose rows are independent: images, or the weights of one network as a single row. A row's
points lie within `radius` of its centre, in L-infinity or L2, and within a box; `scale` measures each coordinate in a
unit of its own (the range of an input, the size of a weight), so that the ball is `|(x - c) / scale| <= radius`.

Sources: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, section 2.1; the best
iterate in the place of the last is what the `robustness` package of MadryLab takes. Auto-PGD: Croce and Hein, "Reliable
evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks", ICML 2020, arXiv:2003.01690,
section 3 and algorithm 1. Their code (fra31/auto-attack) differs from the paper in three places, `rule="released"`:
lengths between checkpoints are rounded down one by one, a share of rises of exactly 0.75 halves the step, too, and the
first step counts as a rise where the value is above 0.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream

Objective = Callable[[torch.Tensor], torch.Tensor]
"""Points (n, ...) -> values (n,), each of its own row alone."""
NORMS, RULES = ("linf", "l2"), ("paper", "released")
MOMENTUM, RISES = 0.75, 0.75


@dataclass(frozen=True)
class Region:
    """Where points may lie: a ball around each row of `centre`, cut by a box.

    Attributes:
        centre: (n, ...), within the box.
        radius: of the ball, in units of `scale`.
        norm: `linf` or `l2`.
        low, high: of the box, numbers or tensors that broadcast; None: no bound.
        scale: unit of each coordinate, 0 or more, a number or a tensor that broadcasts; where it is 0 nothing moves.

    Raises:
        ParamsError: another norm, or a negative radius.
    """

    centre: torch.Tensor
    radius: float
    norm: str = "linf"
    low: torch.Tensor | float | None = None
    high: torch.Tensor | float | None = None
    scale: torch.Tensor | float = 1.0

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ParamsError(f"norm is {self.norm!r}; {suggest(self.norm, NORMS)}")
        if self.radius < 0:
            raise ParamsError(f"the radius of a ball is {self.radius}; expected 0 or more")

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Points of the ball, then of the box; the nearest in L-infinity, in L2 where the box is not met."""
        away = points - self.centre
        if self.norm == "linf":
            reach = self.radius * torch.as_tensor(self.scale).to(away)
            inside = self.centre + away.minimum(reach).maximum(-reach)
        else:
            length = self._lengths(self._in_units(away))
            inside = self.centre + away * (self.radius / length.clamp(min=1e-12)).clamp(max=1.0)
        if self.low is not None:
            inside = inside.maximum(torch.as_tensor(self.low).to(inside))
        if self.high is not None:
            inside = inside.minimum(torch.as_tensor(self.high).to(inside))
        return inside

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """The move of length 1, in units of `scale`, that a linear function rises most along; (n, ...)."""
        unit = torch.as_tensor(self.scale).to(gradient)
        if self.norm == "linf":
            return unit * gradient.sign()
        inside = unit * gradient
        return unit * inside / self._lengths(inside).clamp(min=1e-12)

    def uniform(self, words: RandomStream) -> torch.Tensor:
        """A random start: uniform in an L-infinity ball, on the border of one in L2; one word per coordinate."""
        if self.norm == "linf":
            return self.project(self.centre + self.radius * self._unit() * self._drawn(words))
        return self.border(words)

    def border(self, words: RandomStream) -> torch.Tensor:
        """A random start on the ball's border, as Auto-PGD begins; one word per coordinate."""
        move = self._drawn(words)
        length = move.abs().flatten(1).amax(1) if self.norm == "linf" else move.flatten(1).norm(dim=1)
        move = move / length.reshape(-1, *[1] * (move.ndim - 1)).clamp(min=1e-12)
        return self.project(self.centre + self.radius * self._unit() * move)

    def _drawn(self, words: RandomStream) -> torch.Tensor:
        shape = tuple(self.centre.shape)
        drawn = 2 * words.uniform(shape) - 1 if self.norm == "linf" else words.normal(shape)
        return torch.from_numpy(drawn).to(self.centre)

    def _unit(self) -> torch.Tensor:
        return torch.as_tensor(self.scale).to(self.centre)

    def _in_units(self, away: torch.Tensor) -> torch.Tensor:
        unit = self._unit().expand_as(away)
        return torch.where(unit > 0, away / unit.clamp(min=1e-30), torch.zeros_like(away))

    @staticmethod
    def _lengths(move: torch.Tensor) -> torch.Tensor:
        """The L2 lengths of rows, (n, 1, ...)."""
        lengths: torch.Tensor = move.flatten(1).norm(dim=1)
        return lengths.reshape(-1, *[1] * (move.ndim - 1))


def graded(objective: Objective, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (n,) and their gradients (n, ...); nothing else that requires a gradient gets one."""
    at = points.detach().requires_grad_()
    with torch.enable_grad():
        values = objective(at)
        (gradient,) = torch.autograd.grad(values.sum(), at)
    return values.detach(), gradient


def pgd(
    objective: Objective,
    region: Region,
    steps: int,
    step: float,
    start: torch.Tensor | None = None,
    *,
    best: bool = True,
) -> torch.Tensor:
    """Projected gradient ascent: the point of the highest value of each row, (n, ...).

    Args:
        objective: what is maximised.
        region: where.
        steps: how many, 0 or more.
        step: length of each, in units of the region's scale.
        start: (n, ...), projected first; None: the centre.
        best: the best of all points, the start among them; else the last one, which is not looked at.
    """
    x = region.project(region.centre if start is None else start).detach()
    kept = Kept(x)
    for _ in range(steps):
        values, gradient = graded(objective, x)
        if best:
            kept.see(x, values)
        x = region.project(x + step * region.steepest(gradient))
    if not best:
        return x
    with torch.no_grad():
        kept.see(x, objective(x))
    return kept.points


class Kept:
    """The points with the highest values seen so far, and, if they are given, their gradients."""

    def __init__(self, points: torch.Tensor) -> None:
        self.points = points.clone()
        self.gradients = torch.zeros_like(points)
        self.values = torch.full(points.shape[:1], -math.inf, dtype=points.dtype).to(points.device)

    def see(self, points: torch.Tensor, values: torch.Tensor, gradients: torch.Tensor | None = None) -> None:
        """Keep the rows that are higher than what is kept; equal ones are not."""
        higher = values > self.values
        self.points[higher] = points[higher].detach()
        self.values = torch.where(higher, values, self.values)
        if gradients is not None:
            self.gradients[higher] = gradients[higher]


def checkpoints(steps: int, rule: str = "paper") -> list[int]:
    """The numbers of steps after which Auto-PGD looks back, rising, none after `steps`.

    Source: section 3.2: ceil(p_j N), p_1 = 0.22 and p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06).

    Raises:
        ParamsError: another rule.

    Example:
        >>> checkpoints(100)
        [22, 41, 57, 70, 80, 87, 93, 99]
    """
    if rule not in RULES:
        raise ParamsError(f"rule is {rule!r}; {suggest(rule, RULES)}")
    if rule == "released":
        length, less, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
        lengths = (max(length - j * less, least) for j in itertools.count())
        marks = itertools.accumulate(lengths)
        return list(itertools.takewhile(lambda mark: mark <= steps, marks))
    hundredths, gap, hundredths_of_steps = 22, 22, []  # whole hundredths: no rounding before the ceiling
    while -(-hundredths * steps // 100) <= steps and hundredths <= 100:
        hundredths_of_steps.append(-(-hundredths * steps // 100))
        gap = max(gap - 3, 6)
        hundredths += gap
    return sorted(set(hundredths_of_steps))


def apgd(
    objective: Objective, region: Region, steps: int, start: torch.Tensor | None = None, *, rule: str = "paper"
) -> torch.Tensor:
    """Auto-PGD: the point of the highest value of each row, (n, ...).

    The step begins at twice the radius. At a checkpoint it is halved, and the row goes on from its best point, where
    fewer than 0.75 of the steps since the last one rose, or where neither step nor highest value has changed since.

    Args:
        objective: what is maximised.
        region: where.
        steps: how many, 1 or more.
        start: (n, ...), projected first; None: the centre. `Region.border` is what the paper's attack begins from.
        rule: `paper` or `released`, which see above.

    Raises:
        ParamsError: another rule, or no step.
    """
    if steps < 1:
        raise ParamsError(f"apgd takes 1 step or more, not {steps}")
    marks, exact = checkpoints(steps, rule), rule == "released"
    x = region.project(region.centre if start is None else start).detach()
    values, gradient = graded(objective, x)
    kept = Kept(x)
    kept.see(x, values, gradient)
    rows = [-1, *[1] * (x.ndim - 1)]
    step = torch.full_like(values, 2 * region.radius)
    before, last, rises = x, torch.zeros_like(values) if exact else values, torch.zeros_like(values)
    halved, highest, mark = torch.ones_like(values, dtype=torch.bool), kept.values, 0
    for done in range(1, steps + 1):
        share = 1.0 if done == 1 else MOMENTUM
        moved = region.project(x + step.reshape(rows) * region.steepest(gradient))
        moved = region.project(x + share * (moved - x) + (1 - share) * (x - before))
        before, x = x, moved
        values, gradient = graded(objective, x)
        kept.see(x, values, gradient)
        rises, last = rises + (values > last), values
        if done not in marks:
            continue
        enough = RISES * (done - mark)
        few = rises <= enough if exact else rises < enough
        halved = few | (~halved & (highest >= kept.values))
        step = torch.where(halved, step / 2, step)
        x = torch.where(halved.reshape(rows), kept.points, x)
        gradient = torch.where(halved.reshape(rows), kept.gradients, gradient)
        highest, mark, rises = kept.values, done, torch.zeros_like(rises)
    return kept.points
