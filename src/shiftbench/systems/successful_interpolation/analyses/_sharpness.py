"""Adaptive sharpness: how much the loss rises when each weight moves by up to a share of its size.

    S_max = max_{|d_j| <= rho |w_j|} L(w + d) - L(w),   S_avg = mean over draws of L(w + d) - L(w), d uniform in the box

L is the cross-entropy of a batch; logits are normalised for each sample (mean taken off, divided by their length),
since sharpness is one of confidence else, and mixtures of weights have smaller logits. d is 0 outside of the named
tensors, and where a weight is 0: a model that lost weights looks flat there by construction.

The maximum is looked for by Auto-PGD, from no change at all. `rule: paper` is `trainers/_ascent.py`; `rule: released`
is `sharpness.py` of tml-epfl/sharpness-vs-generalization, which differs in three places: the new change is 0.75 of the
one after the step and 0.25 of the one before the present, where Auto-PGD goes 0.75 of the step and adds 0.25 of the
last; the step is looked at one iteration after each checkpoint; and a restart takes the gradient at the best weights,
but goes on from the change where it was. (Its random start cannot be called: a comma makes a tuple of it.)

Source: Andriushchenko et al., "A modern look at the relationship between sharpness and generalization", ICML 2023,
arXiv:2302.07011, equations 1 and 2 and section 4.1 (logit normalisation, 20 iterations, batches of 128).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.nets import State
from shiftbench.plugins.trainers import _ascent

RULES = ("paper", "released")
DRAWS = ("uniform", "normal")
SMALL = 1e-10
NEW, RISES = 0.75, 0.75


@dataclass
class Loss:
    """The loss of a batch as a function of some of a model's weights, one row (1, d).

    Attributes:
        net: the architecture, in evaluation mode.
        state: all of its weights.
        names: of the tensors that move.
        inputs, labels: the batch, on the model's device.
        normalise: of logits, see above.
    """

    net: nn.Module
    state: State
    names: Sequence[str]
    inputs: torch.Tensor
    labels: torch.Tensor
    normalise: bool = True
    centre: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise ParamsError("sharpness of no layer: name tensors that move")
        self.centre = torch.cat([self.state[name].flatten() for name in self.names])[None]

    def __call__(self, row: torch.Tensor) -> torch.Tensor:
        """The loss at weights (1, d), (1,)."""
        sizes = [self.state[name].numel() for name in self.names]
        parts = zip(self.names, row[0].split(sizes), strict=True)
        weights = {name: part.reshape(self.state[name].shape) for name, part in parts}
        logits = functional_call(self.net, {**self.state, **weights}, (self.inputs,))
        if self.normalise:
            logits = normalised(logits)
        return F.cross_entropy(logits, self.labels)[None]

    def box(self, rho: float) -> _ascent.Region:
        """Region of the weights."""
        return _ascent.Region(self.centre, rho, scale=self.centre.abs())


def normalised(logits: torch.Tensor) -> torch.Tensor:
    """Logits (n, classes) of mean 0 and length 1."""
    centred = logits - logits.mean(1, keepdim=True)
    unit: torch.Tensor = centred / centred.norm(dim=1, keepdim=True).clamp(min=SMALL)
    return unit


def worst(loss: Loss, rho: float, iterations: int = 20, rule: str = "paper") -> float:
    """S_max of a batch, 0 or more.

    Raises:
        ParamsError: another rule.
    """
    if rule not in RULES:
        raise ParamsError(f"rule of the maximum is {rule!r}; {suggest(rule, RULES)}")
    box = loss.box(rho)
    search = _ascent.apgd if rule == "paper" else released
    with torch.no_grad():
        return float(loss(search(loss, box, iterations)) - loss(box.centre))


def mean(loss: Loss, rho: float, words: RandomStream, count: int = 20, kind: str = "uniform") -> float:
    """S_avg of a batch; `normal` draws have the deviation rho |w|.

    Raises:
        ParamsError: another kind.
    """
    if kind not in DRAWS:
        raise ParamsError(f"draws are {kind!r}; {suggest(kind, DRAWS)}")
    box, total = loss.box(rho), 0.0
    with torch.no_grad():
        for _ in range(count):
            shape = tuple(box.centre.shape)
            noise = 2 * words.uniform(shape) - 1 if kind == "uniform" else words.normal(shape)
            perturbation = rho * box.centre.abs() * torch.from_numpy(noise).to(box.centre)
            total += float(loss(box.centre + perturbation)) / count
        return total - float(loss(box.centre))


def released(objective: _ascent.Objective, box: _ascent.Region, steps: int) -> torch.Tensor:
    """The highest point (1, d) that the released search finds, see the file's head."""
    marks, x = released_marks(steps), box.centre
    offset = previous = torch.zeros_like(x)
    best, step, last_step = x, 2 * box.radius, 2 * box.radius
    with torch.no_grad():
        highest = last_highest = float(objective(x))
    mark = rises = 0
    for number in range(steps):
        _, gradient = _ascent.graded(objective, x)
        proposal = box.project(box.centre + offset + step * box.steepest(gradient)) - box.centre
        offset, previous = NEW * proposal + (1 - NEW) * previous, offset
        x = box.centre + offset
        with torch.no_grad():
            value = float(objective(x))
        if value > highest:
            highest, best, rises = value, x, rises + 1
        if number not in marks:
            continue
        rises_rarely = rises < RISES * (number - mark)
        stays = last_step == step and last_highest == highest
        last_step, last_highest, mark, rises = step, highest, number, 0
        if rises_rarely or stays:
            step, x = step / 2, best
    return best


def released_marks(steps: int) -> list[int]:
    """The numbers of steps, from 0, after which the released search looks back."""
    shares, marks = [0.0, 0.22], [0, math.ceil(0.22 * steps)]
    while marks[-1] < steps and marks[-1] != marks[-2]:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
        marks.append(math.ceil(shares[-1] * steps))
    return marks[1:]
