"""Greyscale for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import greyscale as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return copies of images with less colour, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    if images.shape[1] == 1:
        return images.clone()
    part, pixels = round(share * cpu.ONE), images.long()
    luma = sum(weight * pixels[:, i : i + 1] for i, weight in enumerate(cpu.LUMA))
    mixed = pixels * ((cpu.ONE - part) << 16) + luma * part
    return ((mixed + (1 << 31)) >> 32).to(torch.uint8)
