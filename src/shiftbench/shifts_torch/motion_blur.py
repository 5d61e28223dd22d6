"""Motion blur for a batch: the CPU file's integers along each image's own line; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import motion_blur as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return blurred copies of images, uint8 (n, c, h, w)."""
    radius, sigma = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=(0.0, 0.0))
    pixel = _levels.scale(tuple(images.shape[2:]))
    step = max(1, int(pixel))
    weights = cpu.kernel(2 * radius * pixel, sigma * pixel, max(1, math.ceil(1 / pixel)), step)
    path = _lines(words.uniform(), step * len(weights))
    blurred = _smeared(images, weights, path[:, :, ::step])
    return _smeared(blurred, cpu.even(step), path)


def _lines(turns: torch.Tensor, reach: int) -> torch.Tensor:
    """Return int64 (n, 2, reach + 1): down and right at distances 0 to `reach` along each line.

    Sine and cosine may differ in the last bit; no angle of a 16-bit word is so near to a half.
    """
    angles = (-45 + 90 * turns.double()) * (math.pi / 180)
    ways = torch.stack((angles.sin(), angles.cos()), dim=1)
    distances = torch.arange(reach + 1, device=turns.device)
    return (ways[:, :, None] * distances - 0.5).ceil().long()


def _smeared(images: torch.Tensor, weights: tuple[int, ...], path: torch.Tensor) -> torch.Tensor:
    """Return the sum of weights times the pixels along each image's path, edges repeated."""
    count, channels, height, width = images.shape
    row = torch.arange(height, device=images.device)
    column = torch.arange(width, device=images.device)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[:, None, None]
    values = images.to(torch.int32)
    total = torch.full_like(values, cpu.ONE // 2)
    for tap, weight in enumerate(weights):
        down, right = path[:, 0, tap, None] + row, path[:, 1, tap, None] + column
        rows, columns = down.clamp(0, height - 1), right.clamp(0, width - 1)
        total += weight * values[image, channel, rows[:, None, :, None], columns[:, None, None]]
    return (total >> 8).to(torch.uint8)
