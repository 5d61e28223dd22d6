"""Brightness for a batch: the CPU file's tables and its integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import brightness as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return brighter copies of images, uint8 (n, c, h, w)."""
    (amount,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    factors, offsets = _tables(amount, images.device)
    brightest = images.amax(dim=1, keepdim=True).int()
    return ((images * factors[brightest] + offsets[brightest]) >> cpu.BITS).to(torch.uint8)


@lru_cache(maxsize=32)
def _tables(amount: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    factors, offsets = (torch.from_numpy(table).to(device) for table in cpu.tables(amount))
    return factors, offsets
