"""Inverse sparkles for a batch: the CPU file's single operations and tables; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import _star as shape
from shiftbench.shifts import inverse_sparkles as cpu
from shiftbench.shifts_torch import _star

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images seen through a star, uint8 (n, c, h, w)."""
    exponent, depth = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=(0.0, 0.0))
    height, width = images.shape[2:]
    row, column = (0.25 + 0.5 * words.uniform(2)).double().unbind(1)
    counts = _star.rays(words.words16(1).long())[:, 0]
    mean = cpu.RADIUS * min(height, width)
    reach = mean + shape.SPREAD * mean * words.normal(shape.MOST)
    pixel = min(height, width) / _levels.REFERENCE_SIDE
    centre = (row * height).float(), (column * width).float()
    near, off = _star.star((height, width), centre, reach, counts, pixel)
    gaps = torch.tensor(depth, dtype=torch.float32, device=images.device) * off
    return _star.whitened(images, (_power(near, exponent) * (1 - gaps)).clamp(max=1))


def _power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return the CPU's powers, float32."""
    logarithms, powers = _tables(base.device)
    bits = base.view(torch.int32).long()
    logarithm = (((bits >> 23) - 127) << cpu.PART) + logarithms[(bits >> 11) & 4095]
    product = logarithm * round(exponent * (1 << 16)) >> 16
    whole = product >> cpu.PART
    made = powers[(product >> 8) & 4095] >> (-whole).clamp(0, 24)
    power = made.float() * 2.0**-24
    return torch.where(whole > 0, 2.0, torch.where(whole < -24, 0.0, power))


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    logarithms, powers = (torch.from_numpy(part).long().to(device) for part in cpu.tables())
    return logarithms, powers
