"""Cocentric sine waves for a batch: the CPU file's single operations; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels, _sines
from shiftbench.shifts import cocentric_sine_waves as cpu
from shiftbench.shifts_torch import _sines as sines
from shiftbench.shifts_torch._polar import polar

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with rings over them, uint8 (n, c, h, w)."""
    (amount,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    height, width = images.shape[2:]
    across, down, swings, swing, ring = words.uniform(5).double().unbind(1)
    squares, turns = polar((height, width), (down * height).float(), (across * width).float())
    swings, swing, pixel = (
        part[:, None, None]
        for part in (swings * 10, swing / ring / _sines.ONE, 1 / (ring * (min(height, width) / 10)))
    )
    phases = torch.floor(turns * swings * _sines.TURN + 0.5).long() & (_sines.TURN - 1)
    rings = torch.sqrt(squares.double()) * pixel + sines.table(images.device)[phases] * swing
    levels = torch.floor((rings - torch.floor(rings) - 0.5) * (amount * cpu.FULL) + 0.5).int()
    return (images + levels[:, None]).clamp_(0, 255).to(torch.uint8)
