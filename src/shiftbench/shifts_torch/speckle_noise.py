"""Speckle noise for a batch: the CPU file's table of factors and its integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import speckle_noise as cpu
from shiftbench.shifts_torch._noise import words_for

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return noisy copies of images, uint8 (n, c, h, w)."""
    (deviation,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    products = _factors(deviation, images.device)[words_for(images, words)] * images
    rounded = (products + (1 << (cpu.BITS - 1))) >> cpu.BITS
    return rounded.clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)
def _factors(deviation: float, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.factors(deviation)).to(device, torch.int32)
