"""Band noise for a batch: the CPU file's integers, and its float64 operations; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng import normal_table
from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import band_noise as cpu

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, band: str = "mid"
) -> torch.Tensor:
    """Return images with noise of one band, uint8 (n, c, h, w)."""
    (deviation,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    cpu.check(band)
    height, width = images.shape[2:]
    drawn = _table(images.device)[words.words16(height * width)]
    field = _filtered(drawn.reshape(-1, height, width), *cpu.BANDS[band])
    energy = field.square().sum((1, 2)).double() / (height * width)
    gain = torch.where(energy > 0, 255 * deviation / energy.sqrt(), 0.0)
    noise = (field * gain[:, None, None]).round().int()[:, None]
    return (images.int() + noise).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)
def _table(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(normal_table() >> cpu.COARSE).to(device).long()


def _filtered(noise: torch.Tensor, fine: int, coarse: int) -> torch.Tensor:
    """Return a band of noise, int64 (n, h, w)."""
    smooth = _mean(noise, fine)
    if coarse:
        return smooth - _mean(noise, coarse)
    mean = smooth.sum((1, 2)).double() / (smooth.shape[1] * smooth.shape[2])
    return smooth - mean.round().long()[:, None, None]


def _mean(noise: torch.Tensor, side: int) -> torch.Tensor:
    """Return the mean over squares, and of that the mean once more, rounded."""
    if side == 1:
        return noise
    for _ in range(2):
        for axis in (1, 2):
            noise = _sums(noise, side, axis)
        noise = (noise + side * side // 2).div(side * side, rounding_mode="floor")
    return noise


def _sums(values: torch.Tensor, side: int, axis: int) -> torch.Tensor:
    """Return the sums of `side` neighbours along an axis, mirrored at the edges."""
    size = values.shape[axis]
    around = torch.arange(-(side // 2) - 1, size + side // 2, device=values.device) % (2 * size)
    places = torch.minimum(around, 2 * size - 1 - around)
    before = values.index_select(axis, places).cumsum(axis)
    return before.narrow(axis, side, size) - before.narrow(axis, 0, size)
