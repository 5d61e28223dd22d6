"""The CPU's sines for a batch: the same table, and the same polynomial in the same single operations."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.shifts import _sines as cpu

COEFFICIENTS = tuple(map(float, cpu.SINE))


@lru_cache(maxsize=8)
def table(device: torch.device) -> torch.Tensor:
    """Return `ONE` x sine at the table's phases, int32."""
    return torch.from_numpy(cpu.table().astype("int32")).to(device)


def sine(turns: torch.Tensor) -> torch.Tensor:
    """Return the sines of float32 angles in turns."""
    t = turns - torch.floor(turns + 0.5)
    s = t * t
    first, second, third, fourth, fifth = COEFFICIENTS
    return t * (first + s * (second + s * (third + s * (fourth + s * fifth))))
