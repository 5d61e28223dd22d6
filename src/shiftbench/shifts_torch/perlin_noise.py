"""Perlin noise for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import perlin_noise as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images behind haze, uint8 (n, c, h, w)."""
    (opacity,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    height, width = images.shape[2:]
    slopes = _gradients(words.words16(2 * cpu.LATTICE))
    order = words.choice(cpu.LATTICE)
    noise = torch.zeros((len(images), height, width), dtype=torch.int64, device=images.device)
    for octave in range(cpu.OCTAVES):
        rows, columns = (
            torch.from_numpy(cpu.places(count, min(height, width), octave)).long().to(images.device)
            for count in (height, width)
        )
        noise += _octave(slopes, order, rows, columns) >> octave
    haze = (cpu.ONE // 2 + (noise * 3 >> 2)).clamp(max=cpu.ONE)
    kept, white = cpu.shares(opacity)
    layer = (haze * white >> cpu.BITS) + (1 << 15)
    return (images.int() * kept + layer[:, None] >> 16).to(torch.uint8)


def _gradients(drawn: torch.Tensor) -> torch.Tensor:
    """Return the CPU's directions, int64 (n, 2, 256)."""
    points = (drawn.reshape(-1, cpu.LATTICE, 2).transpose(1, 2) >> 7).double() - 256
    squares = points * points
    length = torch.sqrt(squares[:, :1] + squares[:, 1:])
    return torch.round(points * cpu.ONE / length.clamp(min=1)).long()


def _octave(
    slopes: torch.Tensor, order: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Return the size of one octave's noise, int64 (n, h, w)."""
    above, mix = rows[1, :, None], rows[2, :, None]
    points = torch.arange(int(columns[0].max()) + 2, device=rows.device)
    ends = []
    for side, place in ((0, above), (1, above - cpu.ONE)):
        hashed = order[:, (rows[0] + side) % cpu.LATTICE]
        keys = (hashed[:, :, None] + points) % cpu.LATTICE
        found = order.gather(1, keys.flatten(1))
        down, right = (slopes[:, axis].gather(1, found).reshape(keys.shape) for axis in (0, 1))
        ends.append((right, down * place >> cpu.BITS))
    slope, start = (a + ((b - a) * mix >> cpu.BITS) for a, b in zip(*ends, strict=True))
    cell, place, blend = columns
    left = (slope[:, :, cell] * place >> cpu.BITS) + start[:, :, cell]
    right = (slope[:, :, cell + 1] * (place - cpu.ONE) >> cpu.BITS) + start[:, :, cell + 1]
    return torch.abs(left + ((right - left) * blend >> cpu.BITS))
