"""Kuwahara for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import kuwahara as cpu
from shiftbench.shifts_torch._grey import grey

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return painted copies of images, uint8 (n, c, h, w)."""
    (level,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    radius, part = cpu.whole_and_part(level * _levels.scale(tuple(images.shape[2:])))
    finer = _painted(images, radius)
    if part == 0:
        return finer.to(torch.uint8)
    mixed = finer * (256 - part) + _painted(images, radius + 1) * part
    return ((mixed + 128) >> 8).to(torch.uint8)


def _painted(images: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the images of a whole radius, int64 (n, c, h, w)."""
    values = images.long()
    if radius == 0:
        return values
    light = grey(images).long()[:, None]
    count = (radius + 1) ** 2
    sums, total = _sums(values, radius), _sums(light, radius)
    spread = count * _sums(light * light, radius) - total * total
    least, best = _quarter(spread, radius, 0), _quarter(sums, radius, 0)
    for number in range(1, 4):
        calmer = _quarter(spread, radius, number)
        best = torch.where(calmer < least, _quarter(sums, radius, number), best)
        least = torch.minimum(calmer, least)
    share = ((1 << 32) + count // 2) // count
    return (best * share + (1 << 31)) >> 32


def _quarter(sums: torch.Tensor, radius: int, number: int) -> torch.Tensor:
    """Return the sums of one of the four squares of each pixel."""
    height, width = sums.shape[2] - radius, sums.shape[3] - radius
    down, right = radius * (number >> 1), radius * (number & 1)
    return sums[:, :, down : down + height, right : right + width]


def _sums(values: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the sum over the square to the right and below of each pixel, (n, c, h + r, w + r)."""
    for axis in (2, 3):
        size = values.shape[axis]
        places = torch.arange(-radius, size + radius, device=values.device).clamp(0, size - 1)
        before = values.index_select(axis, places).cumsum(axis)
        first = torch.zeros_like(before.narrow(axis, 0, 1))
        before = torch.cat((first, before), axis)
        many = size + radius
        values = before.narrow(axis, radius + 1, many) - before.narrow(axis, 0, many)
    return values
