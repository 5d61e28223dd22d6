"""Checkerboard cutout for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels, _sines
from shiftbench.shifts import checkerboard_cutout as cpu
from shiftbench.shifts_torch import _sines as sines

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with grey fields, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    height, width = images.shape[2:]
    down, right = _steps(words.words16(2).long(), min(height, width))
    boards = _hidden(words.words16(cpu.BOARD * cpu.BOARD), share)
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    along = (rows * down + columns * right >> cpu.PART) % cpu.BOARD
    across = (columns * down - rows * right >> cpu.PART) % cpu.BOARD
    grey = boards.gather(1, (along * cpu.BOARD + across).flatten(1)).reshape(-1, 1, height, width)
    return images.masked_fill(grey, cpu.GREY)


def _steps(drawn: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the CPU's steps along the board's rows, int64 (n, 1, 1)."""
    turn, size = drawn.unbind(1)
    width = cpu.SMALLEST + (cpu.LARGEST - cpu.SMALLEST) * (size.double() + 0.5) / (1 << 16)
    pace = (1 << cpu.PART) / (width * side).clamp(min=1)
    phase = turn * _sines.TURN >> 16
    table = sines.table(drawn.device).double() / _sines.ONE
    cosine, sine = table[(phase + _sines.TURN // 4) % _sines.TURN], table[phase]
    down, right = (torch.round(part * pace).long()[:, None, None] for part in (cosine, sine))
    return down, right


def _hidden(drawn: torch.Tensor, share: float) -> torch.Tensor:
    """Return which fields are grey, bool (n, 1024)."""
    field = torch.arange(cpu.BOARD * cpu.BOARD, device=drawn.device)
    dark = (field // cpu.BOARD + field) % 2 == 0
    return dark & (drawn < round(share * (1 << 16)))
