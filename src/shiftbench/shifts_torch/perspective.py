"""Perspective for a batch: the CPU file's float64 operations in the same order; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _geometry as options
from shiftbench.shifts import _levels, _warp
from shiftbench.shifts import perspective as cpu
from shiftbench.shifts_torch import _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, border: str = "reflect", fill: int = 0
) -> torch.Tensor:
    """Return tilted copies of images, uint8 (n, c, h, w)."""
    (degrees,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    options.checked(cpu.__name__, border, fill)
    height, width = images.shape[2:]
    cosine, sine = (part / cpu.FINE for part in options.unit(degrees, cpu.FINE))
    fall = sine / math.sqrt(width * width + height * height)
    units = _geometry.units(images.device, cpu.FINE)[words.words16(1)[:, 0].long()]
    x, y = (units.double() / cpu.FINE)[:, :, None, None].unbind(1)
    right = _geometry.centred(width, images.device).double() / 2
    down = _geometry.centred(height, images.device)[:, None].double() / 2
    along, off = x * right + y * down, x * down - y * right
    nearness = cosine - off * fall
    along, off = along * cosine / nearness, off / nearness
    columns = ((along * x - off * y + (width - 1) / 2) * _warp.ONE).round().long()
    rows = ((along * y + off * x + (height - 1) / 2) * _warp.ONE).round().long()
    return _geometry.warp(images, columns, rows, border, fill)
