"""Low-rank adapters on the linear layers of a model's blocks, which can be switched off: the reference of GRPO.

    W' = W + alpha / rank * up @ down,     down uniform in +-1/sqrt(columns), up zero at the beginning

The model's own weights learn nothing. `state` is the model with the adapters merged, under its own names.

Source: Hu et al. 2022, "LoRA", arXiv:2106.09685, section 4.1; initial values as in the library peft. Differs: no
dropout before `down` (the released scripts have 0.05).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from shiftbench.base.errors import ParamsError
from shiftbench.evaluation import nets


class LowRank(nn.Module):
    """Sum that is added to a weight (rows, columns)."""

    def __init__(self, weight: torch.Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter((2 * torch.rand(rank, columns) - 1) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.scale, self.on = alpha / rank, True

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the adapter's sum, or without."""
        return weight + self.scale * self.up @ self.down if self.on else weight


class Adapters:
    """The adapters of a model, and what is done with all of them.

    Args:
        model: whose `blocks` get one for each linear layer, from torch's generator; everything else stops learning.
        rank: of the adapters.
        alpha: how much they count.

    Raises:
        ParamsError: rank below 1.
    """

    def __init__(self, model: Any, rank: int, alpha: float) -> None:
        if rank < 1:
            raise ParamsError(f"rank is {rank}; expected 1 at least")
        model.requires_grad_(requires_grad=False)
        layers = [module for module in model.blocks.modules() if isinstance(module, nn.Linear)]
        self.model = model
        self.parts = [LowRank(layer.weight, rank, alpha) for layer in layers]
        for layer, part in zip(layers, self.parts, strict=True):
            parametrize.register_parametrization(layer, "weight", part)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Make the model what it was before, within a block."""
        self._switch(on=False)
        try:
            yield
        finally:
            self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        for part in self.parts:
            part.on = on

    def state(self) -> nets.State:
        """The state dict of the model with its adapters merged, names as without them."""
        tensors: nets.State = {}
        merged = {
            name: layer.weight.detach().clone()
            for name, layer in self.model.named_modules()
            if parametrize.is_parametrized(layer)
        }
        for name, value in self.model.state_dict().items():
            layer, mark, rest = name.partition(".parametrizations.weight.")
            if not mark:
                tensors[name] = value.clone()
            elif rest == "original":
                tensors[f"{layer}.weight"] = merged[layer]
        return tensors
