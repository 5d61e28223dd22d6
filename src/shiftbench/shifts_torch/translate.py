"""Translate for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _geometry as options
from shiftbench.shifts import _levels, _warp
from shiftbench.shifts import translate as cpu
from shiftbench.shifts_torch import _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, border: str = "reflect", fill: int = 0
) -> torch.Tensor:
    """Return moved copies of images, uint8 (n, c, h, w)."""
    (distance,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    options.checked(cpu.__name__, border, fill)
    height, width = images.shape[2:]
    units = _geometry.units(images.device)[words.words16(1)[:, 0].long()]
    pixels = distance * _levels.scale((height, width))
    moves = (pixels * units.double() / _warp.ONE).round().long()[:, :, None, None]
    columns = torch.arange(width, device=images.device) * _warp.ONE - moves[:, 0]
    rows = torch.arange(height, device=images.device)[:, None] * _warp.ONE - moves[:, 1]
    shape = len(images), height, width
    return _geometry.warp(images, columns.expand(shape), rows.expand(shape), border, fill)
