"""Projected gradient descent on inputs, in the L-infinity ball: the attack that adversarial trainers share.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, section 2.1:
x <- clip(x + step sign(grad loss)), within eps of the image and within what pixels can be, from a uniform start.
Distances are shares of white, whatever range the network's input has.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.rng import RandomStream


class Attack:
    """An attack on what a model is given.

    Args:
        model: plugin of the family `models`; one whose `prepare` gives floats states `INPUT_RANGE`.
        params: `eps`, largest change of a pixel as a share of white; `steps`, 0 for none; `step`, how far each goes, as
            a share of white (None: 2.5 eps / steps, so that the border can be reached from any start).

    Raises:
        ParamsError: eps or steps is negative, or a step is not above 0.
    """

    def __init__(self, model: Any, params: Any) -> None:
        self.eps, self.steps = float(params["eps"]), int(params["steps"])
        if self.eps < 0 or self.steps < 0:
            raise ParamsError(f"eps = {self.eps}, steps = {self.steps}: expected 0 or more")
        step = params["step"]
        self.step = 2.5 * self.eps / max(self.steps, 1) if step is None else float(step)
        if self.steps and self.eps and self.step <= 0:
            raise ParamsError(f"step = {step}: expected a number above 0, or null")
        self.model = model

    def __call__(
        self, network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        """Attacked inputs, float32 like the batch, on the network's device.

        The network is attacked in evaluation mode, so that statistics of normalisation layers see no step of the
        attack, and is put back into its mode. The start is uniform in the ball.

        Args:
            network: gives logits; its parameters keep their gradients.
            batch: prepared inputs (n, channels, h, w).
            labels: right classes, int64 (n,), on the network's device.
            rng: random words of this step; one uniform number per value is taken.
        """
        device = next(network.parameters()).device
        clean = torch.from_numpy(np.ascontiguousarray(batch)).to(device).float()
        black, white = (end.to(device) for end in limits(self.model, batch))
        reach, step = self.eps * (white - black), self.step * (white - black)
        start = torch.from_numpy(rng.uniform(batch.shape).astype(np.float32)).to(device)
        modes = [(part, part.training) for part in network.modules()]
        network.eval()
        low, high = (clean - reach).maximum(black), (clean + reach).minimum(white)
        x = (clean + (2 * start - 1) * reach).clamp(low, high)
        for _ in range(self.steps):
            x.requires_grad_()
            loss = F.cross_entropy(network(x), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            x = (x.detach() + step * gradient.sign()).clamp(low, high)
        for part, training in modes:
            part.training = training
        return x


def limits(model: Any, batch: npt.NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Black and white in a network's input, float32 (1 or channels, 1, 1).

    Args:
        model: plugin of the family `models`.
        batch: prepared inputs (n, channels, h, w).

    Raises:
        ModelError: the input is float, and the model's file does not say.
    """
    stated = getattr(model, "INPUT_RANGE", None)
    if stated is None and batch.dtype != np.uint8:
        raise ModelError(
            f"model {registry.called(model)} is given {batch.dtype}; state INPUT_RANGE = (black, "
            "white) in its file, so that it is known how far a grey level is"
        )
    shape = (-1,) + (1,) * (batch.ndim - 2)
    black, white = (torch.tensor(end, dtype=torch.float32) for end in stated or (0.0, 255.0))
    return black.reshape(shape), white.reshape(shape)
