"""Impulse noise for a batch: the same words become white and black; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import impulse_noise as cpu
from shiftbench.shifts_torch._noise import words_for

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return copies of images with white and black values, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    half = cpu.half_of(share)
    drawn = words_for(images, words)
    return images.masked_fill(drawn < half, 0).masked_fill_(drawn >= cpu.DRAWS - half, 255)
