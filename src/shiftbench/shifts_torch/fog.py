"""Fog for a batch: the CPU file's float32 map and its integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _noise_fields
from shiftbench.shifts import fog as cpu
from shiftbench.shifts_torch._fields import plasma

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return foggy copies of images, uint8 (n, c, h, w)."""
    amount, decay = cpu.constants(severity, profile)
    if amount == 0:
        return images.clone()
    height, width = images.shape[2:]
    field = plasma(_noise_fields.map_side(height, width), decay, words)
    lowest, highest = field.amin((1, 2)), field.amax((1, 2))
    brightest = images.amax((1, 2, 3)).double()
    gain = brightest / (brightest + 255 * amount) * cpu.ONE
    spread = torch.where(highest > lowest, highest - lowest, 1).double()
    rise = (255 * amount * gain / spread).float()[:, None, None]
    fog = ((field[:, :height, :width] - lowest[:, None, None]) * rise).int() + (cpu.ONE >> 1)
    lit = images.int() * gain.int()[:, None, None, None]
    return ((lit + fog[:, None]) >> 23).to(torch.uint8)
