"""Zoom blur for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import zoom_blur as cpu

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return blurred copies of images, uint8 (n, c, h, w)."""
    _levels.check(cpu.__name__, severity)
    values, sets = images.to(torch.int32), cpu.zooms(severity)
    rows = _places(images.shape[2], severity, images.device)
    columns = _places(images.shape[3], severity, images.device)
    weights = cpu.shares(sets).tolist()
    blurred: torch.Tensor = (values.long() * weights[0] << 8) + (1 << 31)
    zoom = 0
    for (_, zoomed), weight in zip(sets, weights[1:], strict=False):
        total = torch.zeros_like(values)
        for _ in zoomed:
            tall = _between(values, rows[:, zoom], 2)
            total += _between(tall, columns[:, zoom], 3)
            zoom += 1
        blurred += total.long() * weight
    return (blurred >> 32).to(torch.uint8)


def _between(values: torch.Tensor, places: torch.Tensor, axis: int) -> torch.Tensor:
    """Return values times 16 at places (3, size): pixel, the next one, and 16ths between."""
    near, after, part = places
    far = (part if axis == 3 else part[:, None]).to(torch.int32)
    first, second = values.index_select(axis, near), values.index_select(axis, after)
    between: torch.Tensor = first * (cpu.ONE - far) + second * far
    return between


@lru_cache(maxsize=64)
def _places(size: int, severity: float, device: torch.device) -> torch.Tensor:
    """Return int64 (3, zooms, size): pixel, the next one, and 16ths between the two."""
    places = torch.from_numpy(cpu.places(size, cpu.zooms(severity)).astype("int64")).to(device)
    near = places // cpu.ONE
    return torch.stack((near, (near + 1).clamp(max=size - 1), places % cpu.ONE))
