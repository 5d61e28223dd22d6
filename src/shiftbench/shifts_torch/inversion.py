"""Inversion for a batch: the CPU file's table; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import inversion as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return partly inverted copies of images, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    return torch.from_numpy(cpu.table(share)).to(images.device)[images.int()]
