"""Saturate for a batch: the CPU file's table and its integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import saturate as cpu

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return copies of images with other saturation, uint8 (n, c, h, w)."""
    factor, summand = cpu.constants(severity, profile)
    if images.shape[1] == 1:
        return images.clone()
    pixels = images.to(torch.int32)
    brightest = pixels.amax(dim=1, keepdim=True)
    distance = brightest - pixels.amin(dim=1, keepdim=True)
    factors = _table(factor, summand, images.device)[brightest, distance]
    coloured = brightest - ((brightest - pixels) * factors + _HALF >> cpu.BITS)
    fall = (factors + _HALF) >> cpu.BITS
    grey = brightest - torch.cat((torch.zeros_like(fall), fall, fall), dim=1)
    return torch.where(distance == 0, grey, coloured).to(torch.uint8)


_HALF = 1 << (cpu.BITS - 1)


@lru_cache(maxsize=32)
def _table(factor: float, summand: float, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.table(factor, summand)).to(device)
