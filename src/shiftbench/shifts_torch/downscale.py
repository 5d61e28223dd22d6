"""Downscale for a batch: means over areas in float64, where OpenCV's are in float32: ties may differ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import downscale as cpu

TOLERANCE = (1, 0.01)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return copies of images with less detail, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=1.0)
    height, width = images.shape[2:]
    few = max(1, round(height * share)), max(1, round(width * share))
    if few == (height, width):
        return images.clone()
    down, across = (
        _areas(*sides, images.device) for sides in zip((height, width), few, strict=True)
    )
    means = down @ images.double() @ across.T
    halves = (height, width) == (2 * few[0], 2 * few[1])  # of those OpenCV rounds ties up
    small = ((means + 0.5).floor() if halves else means.round()).int()
    rows, columns = (
        _between(*sides, images.device) for sides in zip(few, (height, width), strict=True)
    )
    wide = _mixed(small, columns, 3)
    tall = _mixed(wide, rows, 2)
    return ((tall + (1 << 15)) >> 16).to(torch.uint8)


@lru_cache(maxsize=64)
def _areas(side: int, few: int, device: torch.device) -> torch.Tensor:
    """Return the share of each pixel of a side in each of fewer ones, float64 (few, side)."""
    edges = np.arange(few + 1) * (side / few)
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return torch.from_numpy(overlap.clip(0) * (few / side)).to(device)


@lru_cache(maxsize=64)
def _between(few: int, side: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return for each pixel of a side the two of few that it lies between, and 256ths of the latter."""
    places = (np.arange(side) + 0.5) * (few / side) - 0.5
    whole = np.floor(places).astype(int)
    part = np.rint((places - whole) * 256).astype(np.int32)
    ends = (whole.clip(0, few - 1), (whole + 1).clip(0, few - 1), part)
    return tuple(torch.from_numpy(end).to(device) for end in ends)


def _mixed(values: torch.Tensor, ends: tuple[torch.Tensor, ...], axis: int) -> torch.Tensor:
    before, after, part = ends
    part = part if axis == 3 else part[:, None]
    return (
        values.index_select(axis, before) * (256 - part) + values.index_select(axis, after) * part
    )
