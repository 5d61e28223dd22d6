"""Blue noise sample for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import blue_noise_sample as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with black pixels, uint8 (n, c, h, w)."""
    (threshold,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=cpu.LOWEST)
    if severity == 0:
        return images.clone()
    height, width = images.shape[2:]
    rows, columns = height + 2 * cpu.REACH, width + 2 * cpu.REACH
    white = _noise(images.device)[words.words16(rows * columns)].reshape(-1, rows, columns)
    return images.masked_fill(_filtered(white)[:, None] <= cpu.limit(threshold), 0)


def _filtered(white: torch.Tensor) -> torch.Tensor:
    """Return the filtered noise, int32 (n, h, w), of noise with a frame of seven pixels."""
    reach = cpu.REACH
    height, width = white.shape[1] - 2 * reach, white.shape[2] - 2 * reach
    field = torch.zeros((len(white), height, width), dtype=torch.int32, device=white.device)
    for i, line in enumerate(cpu.weights().tolist()):
        folded = _folded(white, i, height, 1)
        for j, weight in enumerate(line):
            field.add_(_folded(folded, j, width, 2), alpha=weight)
    return field


def _folded(plane: torch.Tensor, offset: int, size: int, axis: int) -> torch.Tensor:
    """Return the sum of what lies `offset` before and after each pixel along an axis."""
    before = plane.narrow(axis, cpu.REACH - offset, size)
    return before + plane.narrow(axis, cpu.REACH + offset, size) if offset else before


@lru_cache(maxsize=8)
def _noise(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.noise().astype("int32")).to(device)
