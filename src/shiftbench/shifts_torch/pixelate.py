"""Pixelate for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import pixelate as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return pixelated copies of images, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=1.0)
    down = _grid(images.shape[2], share, images.device)
    across = _grid(images.shape[3], share, images.device)
    rows = _means(images.to(torch.int32), across)
    small = _means(rows.transpose(2, 3), down).transpose(2, 3).to(torch.uint8)
    return small[:, :, down[3]][:, :, :, across[3]]


def _means(values: torch.Tensor, grid: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the rounded mean of each small pixel along the last axis, int32."""
    starts, ends, weights, _ = grid
    before = torch.nn.functional.pad(values.cumsum(3, dtype=torch.int32), (1, 0))
    sums = before[..., ends] - before[..., starts]
    return (sums * weights + (1 << (cpu.BITS - 1))) >> cpu.BITS


@lru_cache(maxsize=256)
def _grid(side: int, share: float, device: torch.device) -> tuple[torch.Tensor, ...]:
    starts, ends, weights, shown = cpu.grid(side, share)
    arrays = (starts.astype("int64"), ends.astype("int64"), weights, shown.astype("int64"))
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
