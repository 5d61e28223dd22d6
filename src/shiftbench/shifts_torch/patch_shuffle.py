"""Patch shuffle for a batch: the same patches change places; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import patch_shuffle as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words, *, grid: int = 8) -> torch.Tensor:
    """Return images with some patches exchanged, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    number, channels, height, width = images.shape
    (rows, columns), (tall, wide) = cpu.cells((height, width), grid)
    count = rows * columns
    order = words.choice(count)[:, : round(share * count)]
    source = torch.arange(count, device=images.device).repeat(number, 1)
    source.scatter_(1, order, order.roll(1, dims=1))
    top, left = (height - rows * tall) // 2, (width - columns * wide) // 2
    shuffled = images.clone()
    inner = shuffled[:, :, top : top + rows * tall, left : left + columns * wide]
    patches = inner.reshape(number, channels, rows, tall, columns, wide)
    listed = patches.permute(0, 2, 4, 1, 3, 5).reshape(number, count, channels * tall * wide)
    moved = listed.gather(1, source[..., None].expand(listed.shape))
    placed = moved.reshape(number, rows, columns, channels, tall, wide).permute(0, 3, 1, 4, 2, 5)
    inner.copy_(placed.reshape(inner.shape))
    return shuffled
