"""RankFeat: the energy of logits from maps whose largest singular component was taken away.

Source: Song, Sebe and Wang, "RankFeat: rank-1 feature removal for out-of-distribution detection", NeurIPS 2022,
arXiv:2209.08590: for maps X (channels, places) of a block, X' = X - s1 u1 v1'. Logits are the mean of those that follow
from the last block and from the one before, each changed alone (the paper's fusion of Block 3 and 4), and
score = -T log sum exp(logits / T). Blocks are the last two of the network's maps of each size (`_net`), or `layers`.

Differs: the first singular vector comes from the eigenvectors of X'X or XX', whichever is smaller, in float64, instead
of a singular value decomposition or 20 power iterations from random vectors (OpenOOD: `accelerate`). pytorch-ood
changes one block of the caller's choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

if TYPE_CHECKING:
    from torch import Tensor

NEEDS = ("net",)


class Options(declare.Options):
    temperature: _blocks.Temperature = 1.0
    layers: _blocks.Layers = Field(
        [], description="inner layers: patterns of module names, as in a shell; empty: the last maps of two sizes"
    )


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[Any]:
    """The energy of the mean logits, float64 (n,); higher = more OOD."""
    import torch

    network, temperature = rows.net, _blocks.checked(params["temperature"], "temperature")
    layers = network.layers(params["layers"])
    layers = layers if params["layers"] else layers[-2:]

    def energy(x: Tensor) -> Tensor:
        with torch.no_grad():
            parts = [network.edited(x, layer, without_first).double() for layer in layers]
        logits = torch.stack(parts).mean(0)
        energies: Tensor = -temperature * (logits / temperature).logsumexp(1)
        return energies

    return network.scored(energy)


def without_first(maps: Tensor) -> Tensor:
    """Maps (n, channels, ...), or tokens (n, t, d), without their largest singular component."""
    import torch

    values = maps.flatten(2).double()
    values = values if values.shape[1] >= values.shape[2] else values.mT
    right = torch.linalg.eigh(values.mT @ values).eigenvectors[..., -1:]
    rest = values - values @ right @ right.mT
    rest = rest if rest.shape[1:] == maps.flatten(2).shape[1:] else rest.mT
    changed: Tensor = rest.reshape(maps.shape).to(maps.dtype)
    return changed
