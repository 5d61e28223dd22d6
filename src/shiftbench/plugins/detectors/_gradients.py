"""Gradient of a network's own decision with respect to its input, and the score after; helper of odin and iodin."""

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.plugins.detectors._net import Net


def of_decision(network: Net, x: Tensor, temperature: float) -> Tensor:
    """The gradient of -log softmax(f(x) / T) at the predicted class with respect to x, float32 like x.

    Summed over the batch, so that each sample's gradient is its own. The logits are float64 from here on: at T = 1 the
    softmax of a confident network is 1 in float32, and its gradient would vanish.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = network.logits(x).double() / temperature
        loss = F.cross_entropy(logits, logits.argmax(1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
    return gradient


def confidence(network: Net, x: Tensor, temperature: float) -> Tensor:
    """The largest softmax(f(x) / T), float64 (n,)."""
    with torch.no_grad():
        return (network.logits(x).double() / temperature).softmax(1).amax(1)
