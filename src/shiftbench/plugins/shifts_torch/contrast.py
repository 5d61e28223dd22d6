"""Contrast for a batch: a table for each channel of each image, as on the CPU; nothing differs."""

import torch

from shiftbench.base.rng_torch import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts import contrast as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, rng: RandomStream) -> torch.Tensor:
    """Copies of images with less contrast, uint8 (n, c, h, w)."""
    (factor,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=1.0)
    pixels = images.flatten(2).long()
    means = (pixels.sum(dim=2).double() / pixels.shape[2])[..., None]
    grey = torch.arange(256, device=images.device, dtype=torch.float64)
    tables = ((grey - means) * factor + means).round().to(torch.uint8)
    return tables.gather(2, pixels).reshape(images.shape)
