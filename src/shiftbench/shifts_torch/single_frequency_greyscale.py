"""Single-frequency greyscale for a batch: the CPU file's integers and table; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import single_frequency_greyscale as cpu

TOLERANCE = (0, 0)
_WRAP = (1 << 32) - 1


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with a wave over them, uint8 (n, c, h, w)."""
    (amplitude,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    height, width = images.shape[2:]
    down, right, phase = (part[:, None, None] for part in _wave(words, min(height, width)))
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    # half a step of the table is added, to round
    phases = (phase + rows * down + columns * right + (1 << 18)) & _WRAP
    table = torch.from_numpy(cpu.heights(amplitude * cpu.FULL).copy()).to(images.device)
    return (images + table[phases >> 19][:, None]).clamp_(0, 255).to(torch.uint8)


def _wave(words: Words, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the CPU's phases per row, per column and at the first pixel, int64 (n,)."""
    larger, smaller, swapped, phase = words.words16(4).long().unbind(1)
    larger = (2 * larger + 1 - (1 << 16)) << 15
    smaller = larger * (2 * smaller + 1 - (1 << 16)) >> 16
    reference = _levels.REFERENCE_SIDE
    one, two = (
        torch.div(step * reference, max(side, reference), rounding_mode="floor")
        for step in (larger, smaller)
    )
    chosen = swapped % 2 == 1
    down, right = torch.where(chosen, one, two), torch.where(chosen, two, one)
    return down & _WRAP, right & _WRAP, phase << 16
