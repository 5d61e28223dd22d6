"""Gaussian noise for a batch: the CPU file's table of noise and its integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import gaussian_noise as cpu
from shiftbench.shifts_torch._noise import words_for

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return noisy copies of images, uint8 (n, c, h, w)."""
    (deviation,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    noise = _noise_table(deviation, images.device)[words_for(images, words)]
    return (images + noise).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)
def _noise_table(deviation: float, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.noise_table(deviation)).to(device)
