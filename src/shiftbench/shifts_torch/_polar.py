"""Distances and directions from one point in each image of a batch, in the CPU's single operations."""

from __future__ import annotations

import torch

from shiftbench.shifts import _polar as cpu

COEFFICIENTS = tuple(map(float, cpu.ARCTANGENT))


def polar(
    shape: tuple[int, int], row: torch.Tensor, column: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return squared distances and directions in turns, float32 (n, h, w), from points float32 (n,)."""
    height, width = shape
    down = torch.arange(height, device=row.device).float()[:, None] - row[:, None, None]
    right = torch.arange(width, device=row.device).float() - column[:, None, None]
    squares = down * down + right * right
    tall, wide = down.abs(), right.abs()
    t = torch.minimum(tall, wide) / torch.maximum(tall, wide).clamp(min=1e-30)
    s = t * t
    first, second, third, fourth, fifth, sixth = COEFFICIENTS
    turn = first + s * (second + s * (third + s * (fourth + s * (fifth + s * sixth))))
    turn = turn * t
    turn = torch.where(wide > tall, 0.25 - turn, turn)
    turn = torch.where(down < 0, 0.5 - turn, turn)
    return squares, torch.where(right < 0, -turn, turn)
