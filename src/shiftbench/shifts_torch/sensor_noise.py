"""Sensor noise for a batch: the CPU file's tables and integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from shiftbench.rng import normal_table
from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import sensor_noise as cpu
from shiftbench.shifts_torch._noise import words_for

TOLERANCE = (0, 0)
DRAWS = 1 << 16


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return noisy copies of images, uint8 (n, c, h, w)."""
    (shot,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    if shot == 0:
        return images.clone()
    camera, (normal, shown) = cpu.camera(shot), _tables(images.device)
    photons = _photons(images.int(), words_for(images, words), camera, normal)
    noise = (camera.read * normal[words_for(images, words)]) >> 20
    raw = (photons * camera.gain + (noise << 16) + (1 << 31)) >> 32
    return shown[raw.clamp(0, cpu.WHITE)]


def _photons(
    levels: torch.Tensor, drawn: torch.Tensor, camera: cpu.Camera, normal: torch.Tensor
) -> torch.Tensor:
    """Return the photons that each pixel counts, int64."""
    mean, spread, starts, ends = (
        torch.from_numpy(table).to(levels.device)
        for table in (camera.mean, camera.spread, camera.starts, _joined(camera))
    )
    z = normal[drawn]
    skew = ((z * z >> 20) - (1 << 20)).div(6144, rounding_mode="floor")
    many = (mean[levels] + (spread[levels] * z >> 20) + skew + 512) >> 10
    first = starts[levels]
    few = torch.searchsorted(ends, levels.long() * DRAWS + drawn, right=True) - first
    return torch.where(first == starts[levels + 1], many, few)


def _joined(camera: cpu.Camera) -> np.ndarray:
    """Return the thresholds of all grey levels in one rising sequence."""
    return camera.thresholds + np.repeat(np.arange(256) * DRAWS, np.diff(camera.starts))


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the normal quantiles, int64, and the grey level of each raw value."""
    normal = torch.from_numpy(normal_table().astype(np.int64))
    return normal.to(device), torch.from_numpy(cpu.developed()).to(device)
