"""Sparkles for a batch: the CPU file's single operations; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import _star as shape
from shiftbench.shifts import sparkles as cpu
from shiftbench.shifts_torch import _star

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with stars, uint8 (n, c, h, w)."""
    radius, shortest = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=(0.0, 0.0))
    height, width = images.shape[2:]
    pixel = min(height, width) / _levels.REFERENCE_SIDE
    places = words.uniform((cpu.STARS, 2))
    counts = _star.rays(words.words16(cpu.STARS).long())
    mean, spread, least = (
        torch.tensor(part, dtype=torch.float32, device=images.device)
        for part in (
            radius * min(height, width),
            shape.SPREAD * (radius * min(height, width)),
            shortest * pixel,
        )
    )
    reach = torch.maximum(mean + spread * words.normal((cpu.STARS, shape.MOST)), least)
    kept = torch.ones((len(images), height, width), device=images.device)
    for number in range(cpu.STARS):
        centre = places[:, number, 0] * height, places[:, number, 1] * width
        near, off = _star.star((height, width), centre, reach[:, number], counts[:, number], pixel)
        kept = kept * (1 - ((1 - off) * near).clamp(max=1))
    return _star.whitened(images, kept)
