"""A mixture of experts in place of a block's MLP: each token goes to the top-k of E small MLPs.

    y = sum over the chosen e of softmax(gate(x) of the chosen)_e  W2_e gelu(W1_e x + b1_e) + b2_e

Source: Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017, equations 1 and 2 without noise; as fastmoe's
`FMoETransformerMLP` with its `NaiveGate` does it (laekov/fastmoe, `fmoe/layers.py`, `fmoe/linear.py`), which m2mKD's
V-MoE takes: a gate with a bias, softmax over the chosen alone, no loss that balances loads, k = 2. Experts begin as
there: weights uniform within 1 / sqrt(in x out), biases 0. Plain torch, no CUDA kernels.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.errors import ParamsError


class Experts(nn.Module):
    """One linear layer for each expert: weight (E, out, in), bias (E, out)."""

    def __init__(self, experts: int, before: int, after: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(before * after)
        self.weight = nn.Parameter(torch.empty(experts, after, before).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(experts, after))

    def each(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return what each expert makes of its rows (n_e, in): (n_e, out)."""
        layers = zip(parts, self.weight.unbind(), self.bias.unbind(), strict=True)
        return [F.linear(part, weight, bias) for part, weight, bias in layers]


class Mixture(nn.Module):
    """Tokens (..., width) to tokens of the same shape.

    Raises:
        ParamsError: more experts are chosen than there are.
    """

    def __init__(self, width: int, hidden: int, experts: int, top_k: int) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ParamsError(f"top_k is {top_k}; expected 1 to {experts}, the number of experts")
        self.top_k = top_k
        self.gate = nn.Linear(width, experts)
        self.htoh4, self.h4toh = Experts(experts, width, hidden), Experts(experts, hidden, width)

    def route(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return shares (n, k), which sum to 1, and numbers (n, k) of each token's experts."""
        scores, chosen = self.gate(tokens).topk(self.top_k, dim=-1)
        return scores.softmax(-1), chosen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mixtures."""
        tokens = x.reshape(-1, x.shape[-1])
        shares, chosen = self.route(tokens)
        order = chosen.flatten().argsort(stable=True)  # by expert, then by token
        rows, counts = (order // self.top_k, chosen.flatten().bincount(minlength=self.gate.out_features))
        parts = tokens[rows].split(counts.tolist())
        told = torch.cat(self.h4toh.each([F.gelu(part) for part in self.htoh4.each(parts)]))
        weighted = told * shares.flatten()[order, None]
        return torch.zeros_like(tokens).index_add(0, rows, weighted).view_as(x)
