"""MAML's gradient to second order, written out for a network of linear layers with ReLU between them.

What enters a layer may be patches of what left the one before (`_links`): a convolution is a linear layer, too.

One inner step on each task's support, its risk on the query, and the gradient of a loss of these risks with respect to
the common weights w: the sum over tasks of (I - rate H) v, where v is the gradient of the loss at the task's adapted
weights and H the Hessian of its support's risk at w. H v is the derivative of the support's gradient in the direction
v, so that no Hessian is made. Networks are so small that time goes by the number of operations: automatic
differentiation takes two and a half times as long.

Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, equation 1; Pearlmutter 1994, "Fast exact multiplication by the
Hessian", Neural Computation 6(1), for H v.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch

from shiftbench.systems.mpts.models._links import Floats, Link

Layer = tuple[Floats, Floats]
"""Weight (after, before) and bias (after,); of n tasks apart (n, after, before) and (n, 1, after)."""


class Loss(NamedTuple):
    """The loss of outputs (n, k, 1) of n tasks.

    Attributes:
        risks: its mean over the points of each task, (n,).
        slopes: the gradient of a task's risk by its outputs, (n, k, 1).
        bends: the second derivative of a task's risk by each of its outputs, (n, k, 1) or one for all.
    """

    risks: Floats
    slopes: Floats
    bends: Floats | np.float32


class Body(Protocol):
    """A network without its weights."""

    @property
    def links(self) -> Sequence[Link]:
        """The link before each layer."""

    def loss(self, outputs: Floats, targets: Floats) -> Loss:
        """Loss of outputs and targets (n, k, 1)."""


class Pass(NamedTuple):
    """Trace of a batch in a network, by layer; a layer's rows are points, or places in their maps.

    Attributes:
        entering: what enters each, (n, rows, before).
        leaving: the gradient of the task's risk by what leaves each, (n, rows, after).
        loss: of the outputs.
    """

    entering: list[Floats]
    leaving: list[Floats]
    loss: Loss


def squared_error(outputs: Floats, targets: Floats) -> Loss:
    """Squared error."""
    error, bend = outputs - targets, np.float32(2 / outputs.shape[1])
    return Loss(np.square(error).mean((1, 2)), error * bend, bend)


def logistic(outputs: Floats, targets: Floats) -> Loss:
    """Cross-entropy of log-odds and targets of 0 or 1, in nats."""
    likely = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * outputs))
    risks = (np.logaddexp(np.float32(0), outputs) - targets * outputs).mean((1, 2))
    share = np.float32(1 / outputs.shape[1])
    return Loss(risks, (likely - targets) * share, likely * (1 - likely) * share)


def meta_gradient(
    model: Body,
    layers: Sequence[Layer],
    support: Floats,
    query: Floats,
    rate: float,
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, Floats]:
    """Risks after one step of each task, (n,), and the gradient of their loss by the common weights, (p,).

    Args:
        model: what the weights belong to.
        layers: the common weights.
        support: points (n, k, d + 1), the target last.
        query: likewise.
        rate: of the inner step.
        loss: of the risks, a scalar.
    """
    step = np.float32(rate)
    inner = propagate(model, layers, support)
    fast_layers = [
        (weight - step * steep, bias - step * slope)
        for (weight, bias), (steep, slope) in zip(layers, gradients(inner.entering, inner.leaving), strict=True)
    ]
    outer = propagate(model, fast_layers, query)
    risks = torch.from_numpy(outer.loss.risks).requires_grad_()
    (slopes,) = torch.autograd.grad(loss(risks), risks)
    weights = slopes.numpy()[:, None, None]
    towards = gradients(outer.entering, [one * weights for one in outer.leaving])
    first = [part.sum(0) for pair in towards for part in pair]
    second = curvature(model, layers, inner, towards)
    parts = [one.ravel() - step * two.ravel() for one, two in zip(first, second, strict=True)]
    return risks.detach(), np.concatenate(parts)


def propagate(model: Body, layers: Sequence[Layer], points: Floats) -> Pass:
    """Send points (n, k, d + 1) through, and the gradients of the tasks' risks back."""
    entering = [model.links[0].forth(points[..., :-1])]
    for (weight, bias), link in zip(layers[:-1], model.links[1:], strict=True):
        entering.append(np.maximum(link.forth(entering[-1] @ weight.mT + bias), 0))
    weight, bias = layers[-1]
    loss = model.loss(entering[-1] @ weight.mT + bias, points[..., -1:])
    leaving = [loss.slopes]
    back = zip(layers[:0:-1], entering[:0:-1], model.links[:0:-1], strict=True)
    for (weight, _), activations, link in back:
        leaving.append(link.back((leaving[-1] @ weight) * (activations > 0)))
    return Pass(entering, leaving[::-1], loss)


def gradients(entering: Sequence[Floats], leaving: Sequence[Floats]) -> list[Layer]:
    """Gradient of each task by its weights: (n, after, before) and (n, 1, after) of each layer."""
    return [(after.mT @ before, after.sum(1, keepdims=True)) for before, after in zip(entering, leaving, strict=True)]


def curvature(model: Body, layers: Sequence[Layer], trace: Pass, towards: Sequence[Layer]) -> list[Floats]:
    """Sum over tasks of H v: of each layer that of the weight, then that of the bias.

    Args:
        model: what the weights belong to.
        layers: the common weights.
        trace: of the support, under these.
        towards: v, of each task its own.
    """
    entering = [np.zeros_like(trace.entering[0])]  # all from here on are derivatives towards v
    for at, (inputs, (weight, bias)) in enumerate(zip(trace.entering, towards, strict=True)):
        derivative = inputs @ weight.mT + entering[at] @ layers[at][0].T + bias
        if at + 1 < len(layers):
            derivative = model.links[at + 1].forth(derivative) * (trace.entering[at + 1] > 0)
        entering.append(derivative)
    leaving = [entering.pop() * trace.loss.bends]
    for at in range(len(layers) - 1, 0, -1):
        derivative = leaving[0] @ layers[at][0] + trace.leaving[at] @ towards[at][0]
        leaving.insert(0, model.links[at].back(derivative * (trace.entering[at] > 0)))
    parts = []
    for at, derivative in enumerate(leaving):
        weight = _over_all(derivative, trace.entering[at]) + _over_all(trace.leaving[at], entering[at])
        parts += [weight, derivative.sum((0, 1))]
    return parts


def _over_all(leaving: Floats, entering: Floats) -> Floats:
    """Sum over tasks and points of products, (after, before)."""
    product: Floats = leaving.reshape(-1, leaving.shape[-1]).T @ entering.reshape(-1, entering.shape[-1])
    return product
