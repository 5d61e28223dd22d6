"""Gaussian blur for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import gaussian_blur as cpu
from shiftbench.shifts_torch import _blur

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return blurred copies of images, uint8 (n, c, h, w)."""
    (sigma,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    return _blur.gaussian(images, sigma, _levels.scale(tuple(images.shape[2:])))
